"""Segments: built, counted, and why somebody is in one."""
