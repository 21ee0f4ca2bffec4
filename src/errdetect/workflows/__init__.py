"""Workflows, one file per verb: called by commands, pipelines and notebooks."""
