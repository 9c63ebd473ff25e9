"""What the API does, without HTTP: a module for each family, and what they share."""
