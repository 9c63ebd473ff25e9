"""The fault harness itself: that it sees what it is there to see."""
