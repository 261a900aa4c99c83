"""Pages that look at every app."""
