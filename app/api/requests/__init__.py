"""What became of a request: endpoints, and the models of bodies and answers."""
