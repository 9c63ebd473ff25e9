"""Bodies and answers as types, for the OpenAPI document only: what is accepted is decided by app.contract."""
