"""The family of endpoints about apps."""
