"""Statistics shared by all packages, each implemented once."""
