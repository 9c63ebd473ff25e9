"""Random requests: a short run in the suite, a long one with `make fuzz`."""
