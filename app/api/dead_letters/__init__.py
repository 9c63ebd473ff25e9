"""Dead letters: endpoints, and the models of bodies and answers."""
