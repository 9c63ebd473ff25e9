"""Segments as SQL: the only place with such statements. `run` counts and lists, `compile` makes conditions."""
