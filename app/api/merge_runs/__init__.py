"""Merge rules: rules, previews, runs, the schedule: endpoints, and the models of bodies and answers."""
