"""Alerts: what is watched, who is told, and what was said."""
