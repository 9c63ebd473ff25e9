"""Attributes, events and purchases: endpoints, and the models of bodies and answers."""
