"""Lists of the names of events, attributes and products: endpoints, and the models of answers."""
