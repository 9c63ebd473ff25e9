"""The family of endpoints about change webhooks."""
