"""Sampling designs, error rates with intervals that hold, regulatory indicators."""
