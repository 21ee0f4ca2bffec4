"""Findings as the config wants them: where policies err, why, what it costs, and which bars help."""

import numpy as np

from errdetect.config import Config
from errdetect.findings.findings import Findings, find_findings, no_findings
from errdetect.workflows.load import Progress
from errdetect.snapshot import Snapshot

__all__ = ["findings"]


def findings(
    config: Config, snapshot: Snapshot, *, progress: Progress = lambda _: None
) -> Findings:
    """Find where policies err more than elsewhere, from what was known at the snapshot's moment.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Decisions and reviews.
    progress
        Callback for progress messages.

    Returns
    -------
    Findings
        Empty tables with the reason in `notes` where there is nothing to find from.

    Raises
    ------
    Refusal, DataError
        Where the audit's chances make no sense.
    """
    machine = snapshot.automated
    if not len(machine.reviewed_ids):
        return no_findings("No decision was reviewed by then, so nothing can be found.")
    progress("looking for where policies err")
    return find_findings(
        machine,
        rng=np.random.default_rng(config.train.seed),
        leave_out=tuple(config.features.leave_out),
    )
