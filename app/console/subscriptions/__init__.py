"""Subscription groups, and whose states are what."""
