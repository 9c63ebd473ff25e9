"""The family of endpoints about workspaces as a whole."""
