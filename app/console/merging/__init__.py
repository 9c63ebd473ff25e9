"""Merging two people who are one: side by side, what would come of it, doing it, and taking a merge back."""
