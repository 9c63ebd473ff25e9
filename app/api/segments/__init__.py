"""The family of endpoints about segments."""
