"""Limits of a workspace: configured, left, used, and changed."""
