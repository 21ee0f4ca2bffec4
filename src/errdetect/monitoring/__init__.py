"""What has changed in production: audited error, its causes, inputs, reviewers, model."""
