"""Jobs: what is queued, runs and has ended, and ending it."""
