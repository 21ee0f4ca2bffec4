"""Integrations with other review tools."""
