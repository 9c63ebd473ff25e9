"""Merges: preview, records, undo, history: endpoints, and the models of bodies and answers."""
