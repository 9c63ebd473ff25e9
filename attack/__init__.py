"""Hostile tenants and hostile networks, and what a victim beside them notices: `make attack`."""
