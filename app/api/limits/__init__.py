"""Limits of a workspace: endpoints, and the models of bodies and answers."""
