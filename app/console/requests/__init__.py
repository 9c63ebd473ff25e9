"""Requests: every one with its outcome, and what was refused by endpoint and error."""
