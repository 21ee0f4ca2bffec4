"""Explanations: why a decision or a whole policy goes wrong, in words for people."""
