"""Onefold: a self-hosted user-data service."""
