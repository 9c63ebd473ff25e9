"""Profiles in the database: finding, loading and saving what a batch touches."""
