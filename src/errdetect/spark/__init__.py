"""Scoring on Spark: cleaned decisions, and counts of earlier ones, on many machines."""
