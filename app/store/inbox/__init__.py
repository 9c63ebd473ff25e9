"""The inbox: the log of accepted requests, its idempotency keys, its size, and how far behind it is."""
