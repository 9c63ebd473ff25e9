"""People: found, shown with all that is stored of them, and why somebody is one person."""
