"""Pages about change webhooks."""
