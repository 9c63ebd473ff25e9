"""The family of endpoints about deleting everybody in a segment."""
