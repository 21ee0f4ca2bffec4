"""errdetect: which automated moderation decisions are wrong, and what to change."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from errdetect.version import __version__

if TYPE_CHECKING:
    from errdetect.api import (
        estimate,
        export,
        forget,
        ingest,
        plan_audit,
        promote,
        proposals,
        remediate,
        report,
        score,
        simulate,
        trace,
        train,
        validate,
        verify,
    )
    from errdetect.api_operations import calibrate, evidence, ingest_calibration, init, monitor, run
    from errdetect.config import Config, load_config
    from errdetect.errors import ErrdetectError
    from errdetect.model.classifier import ErrorClassifier
    from errdetect.workflows.calibrate import CalibrateResult
    from errdetect.workflows.estimate import EstimateResult
    from errdetect.workflows.evidence import EvidenceResult
    from errdetect.workflows.export import ExportResult
    from errdetect.workflows.forget import ForgetResult
    from errdetect.workflows.ingest import IngestResult
    from errdetect.workflows.init import InitResult
    from errdetect.workflows.monitor import MonitorResult
    from errdetect.workflows.plan_audit import PlanAuditResult
    from errdetect.workflows.promote import PromoteResult
    from errdetect.workflows.proposals import ProposalsResult
    from errdetect.workflows.remediate import RemediateResult
    from errdetect.workflows.report import ReportResult
    from errdetect.workflows.run import RunResult
    from errdetect.workflows.score import ScoreResult
    from errdetect.workflows.simulate import SimulateResult
    from errdetect.workflows.trace import TraceResult
    from errdetect.workflows.train import TrainResult
    from errdetect.workflows.validate import ValidateResult
    from errdetect.workflows.verify import VerifyResult

__all__ = [
    "CalibrateResult",
    "Config",
    "ErrdetectError",
    "ErrorClassifier",
    "EstimateResult",
    "EvidenceResult",
    "ExportResult",
    "ForgetResult",
    "IngestResult",
    "InitResult",
    "MonitorResult",
    "PlanAuditResult",
    "PromoteResult",
    "ProposalsResult",
    "RemediateResult",
    "ReportResult",
    "RunResult",
    "ScoreResult",
    "SimulateResult",
    "TraceResult",
    "TrainResult",
    "ValidateResult",
    "VerifyResult",
    "__version__",
    "calibrate",
    "estimate",
    "evidence",
    "export",
    "forget",
    "ingest",
    "ingest_calibration",
    "init",
    "load_config",
    "monitor",
    "plan_audit",
    "promote",
    "proposals",
    "remediate",
    "report",
    "run",
    "score",
    "simulate",
    "trace",
    "train",
    "validate",
    "verify",
]

#: Where a name is, if it is no function of `errdetect.api`.
_ELSEWHERE = {
    "Config": "errdetect.config",
    "load_config": "errdetect.config",
    "ErrdetectError": "errdetect.errors",
    "ErrorClassifier": "errdetect.model.classifier",
    "CalibrateResult": "errdetect.workflows.calibrate",
    "EstimateResult": "errdetect.workflows.estimate",
    "ExportResult": "errdetect.workflows.export",
    "ForgetResult": "errdetect.workflows.forget",
    "IngestResult": "errdetect.workflows.ingest",
    "MonitorResult": "errdetect.workflows.monitor",
    "calibrate": "errdetect.api_operations",
    "ingest_calibration": "errdetect.api_operations",
    "evidence": "errdetect.api_operations",
    "EvidenceResult": "errdetect.workflows.evidence",
    "init": "errdetect.api_operations",
    "monitor": "errdetect.api_operations",
    "run": "errdetect.api_operations",
    "InitResult": "errdetect.workflows.init",
    "RunResult": "errdetect.workflows.run",
    "PlanAuditResult": "errdetect.workflows.plan_audit",
    "PromoteResult": "errdetect.workflows.promote",
    "ProposalsResult": "errdetect.workflows.proposals",
    "RemediateResult": "errdetect.workflows.remediate",
    "ReportResult": "errdetect.workflows.report",
    "ScoreResult": "errdetect.workflows.score",
    "SimulateResult": "errdetect.workflows.simulate",
    "TraceResult": "errdetect.workflows.trace",
    "TrainResult": "errdetect.workflows.train",
    "ValidateResult": "errdetect.workflows.validate",
    "VerifyResult": "errdetect.workflows.verify",
}


def __getattr__(name: str) -> object:
    """Import what is asked for only then (PEP 562): `import errdetect` alone costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_ELSEWHERE.get(name, "errdetect.api")), name)
    room = sys.modules.get(f"{__name__}.{name}")
    if room is not None:  # `import errdetect.report.charts as charts` looks for charts on `found`
        vars(found).update({k: v for k, v in vars(room).items() if isinstance(v, ModuleType)})
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})


class _Interface(ModuleType):
    """Keeps `errdetect.report` the function: importing the room of that name would replace it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Interface
