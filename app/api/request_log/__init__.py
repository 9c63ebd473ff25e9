"""The log of requests: endpoints, and the models of answers."""
