"""Checks of the tables, each and against each other."""
