"""Faults on purpose: load through the real API, blows by seed, and four independent comparisons afterwards."""
