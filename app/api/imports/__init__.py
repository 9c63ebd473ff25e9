"""Users of another installation, or of Braze."""
