"""Rules of attributes, events and products: endpoints, and the models of bodies and answers."""
