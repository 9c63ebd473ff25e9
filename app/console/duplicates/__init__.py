"""Duplicates: merge rules, previews, runs and taking runs back."""
