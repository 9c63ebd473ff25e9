"""Merging two profiles: the rule of each field, the plan, performing it, taking it back."""
