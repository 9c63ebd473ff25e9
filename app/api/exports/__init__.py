"""Exports of users: endpoints, and the models of bodies and answers."""
