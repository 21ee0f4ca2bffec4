"""The accounts that the remediation plan would whitelist, for the report: one rule, one answer."""

import pandas as pd

from errdetect.config import Config
from errdetect.remediation.whitelist import whitelist_table
from errdetect.snapshot import Snapshot

__all__ = ["whitelist"]


def whitelist(config: Config, snapshot: Snapshot) -> pd.DataFrame:
    """List the accounts that `remediate` would put into its plan, by the same settings.

    Parameters
    ----------
    config
        From `load_config`; `remediation.whitelist` sets the rule.
    snapshot
        Decisions and reviews.

    Returns
    -------
    pandas.DataFrame
        As `schemas.WHITELIST`.
    """
    return whitelist_table(snapshot.decided, config.remediation.whitelist)
