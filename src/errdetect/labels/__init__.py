"""From reviews to labels: review history, verdicts, labels, audit sample."""
