"""Review tools of others."""
