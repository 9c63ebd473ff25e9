"""The family of endpoints about flags of people."""
