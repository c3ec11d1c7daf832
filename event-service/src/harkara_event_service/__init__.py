"""Takes events into the log and brings them to the edges."""
