"""One module for each thing outside: Celery's doorbell, Valkey, processes, logs, metrics, the Python runtime."""
