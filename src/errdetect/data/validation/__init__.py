"""Checks of the tables, alone and against each other."""
