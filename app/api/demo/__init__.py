"""A shop to try the web SDK on, for this machine alone."""
