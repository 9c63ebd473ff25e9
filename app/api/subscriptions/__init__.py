"""The family of endpoints about subscriptions."""
