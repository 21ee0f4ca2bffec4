"""The loop closed: what follows from finished reviews."""
