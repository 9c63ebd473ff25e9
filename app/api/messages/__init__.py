"""The family of endpoints about messages, and about what is told of addresses."""
