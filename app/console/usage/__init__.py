"""Usage of the API by key, endpoint and status."""
