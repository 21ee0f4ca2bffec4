"""Findings: where a policy errs, the root cause, and the harm a remedy would save."""
