"""Remediation: what follows from finished reviews."""
