"""The family of endpoints of test mode."""
