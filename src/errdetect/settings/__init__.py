"""The config's sections: every key with its default, its limits and what it is for."""

from errdetect.settings.common import (
    Measure,
    Share,
    Source,
    Strict,
)
from errdetect.settings.learning import (
    Evaluate,
    Features,
    Gate,
    Labels,
    Train,
)
from errdetect.config_schema import (
    Data,
    Database,
    Ledger,
    Place,
    Registry,
)
from errdetect.settings.working import (
    Audit,
    Dsa,
    Estimate,
    Export,
    LookAlikes,
    Pool,
    Queue,
    Remediation,
    Report,
    Reviewers,
    Targets,
    Whitelist,
)

__all__ = [
    "Audit",
    "Data",
    "Database",
    "Dsa",
    "Estimate",
    "Evaluate",
    "Export",
    "Features",
    "Gate",
    "Labels",
    "Ledger",
    "LookAlikes",
    "Measure",
    "Place",
    "Pool",
    "Queue",
    "Registry",
    "Remediation",
    "Report",
    "Reviewers",
    "Share",
    "Source",
    "Strict",
    "Targets",
    "Train",
    "Whitelist",
]
