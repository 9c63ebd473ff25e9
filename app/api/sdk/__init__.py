"""What devices of apps send."""
