"""Exports to files: endpoints, and the models of bodies and answers."""
