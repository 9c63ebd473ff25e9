"""Dead letters: requests that could not be applied, and sending them again."""
