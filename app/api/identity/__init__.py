"""Aliases, identification, merging, external ids, deletion: endpoints, and the models of bodies and answers."""
