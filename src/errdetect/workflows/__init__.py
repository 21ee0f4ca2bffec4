"""Jobs, one file a verb: what commands, pipelines and notebooks call."""
