"""The functional core: what a profile is and what every accepted command does to it. Standard library only."""
