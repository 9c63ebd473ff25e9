"""Jobs: endpoints, and the models of answers."""
