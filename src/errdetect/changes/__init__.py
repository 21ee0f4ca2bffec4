"""Policy changes: briefs, proposals, pilots, and their measured effects."""
