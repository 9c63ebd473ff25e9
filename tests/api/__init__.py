"""The API as clients meet it: the real application over real stores, a real Valkey and a real applier."""
