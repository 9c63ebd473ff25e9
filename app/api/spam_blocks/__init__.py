"""The family of endpoints about blocked profiles."""
