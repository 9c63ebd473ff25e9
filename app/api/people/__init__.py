"""The family of endpoints about people as operators see them."""
