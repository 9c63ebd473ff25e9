"""The family of endpoints about alerts."""
