"""The family of endpoints about rates of exchange."""
