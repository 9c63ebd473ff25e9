"""Data points: what writes of attributes would cost where that is counted."""
