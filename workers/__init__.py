"""The background side: Celery tasks, the drain that applies the inbox to profiles, and the sweeper."""
