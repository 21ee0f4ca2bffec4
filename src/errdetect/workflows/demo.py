"""demo: the main job from end to end, on a simulated marketplace."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from errdetect.config import load_config
from errdetect.data.atomic_writing import write_parquet
from errdetect.data.provenance import Provenance
from errdetect.errors import ModelError, error_message
from errdetect.version import __version__
from errdetect.workflows.load_data import Progress
from errdetect.workflows.report import report
from errdetect.workflows.score import ScoreResult, score
from errdetect.workflows.simulate import simulate_reviewed
from errdetect.workflows.train import TrainResult, train

__all__ = ["DemoResult", "demo"]

_SETTINGS = ("train.trials=4",)
#: Audited decisions, by which a gate can tell a model from chance; of fewer decisions a larger share.
_AUDITED, _LEAST_SHARE = 3_600, 0.06


@dataclass(frozen=True)
class DemoResult:
    """Result of the demo, and the files to open."""

    trained: TrainResult
    scored: ScoreResult
    files: Mapping[str, Path]


def demo(
    out: str | Path,
    *,
    decisions: int = 60_000,
    days: int = 180,
    seed: int = 7,
    progress: Progress = lambda _: None,
) -> DemoResult:
    """Simulate a marketplace, train, score its last month, write queue and policy report.

    Parameters
    ----------
    out
        Folder; made if missing.
    decisions, days, seed
        The marketplace's size, length and seed. Below 60,000 decisions the audit draws a larger share, so
        that about as many are reviewed.
    progress
        Callback for progress messages.

    Raises
    ------
    ModelError
        If so few decisions show too little for a model to pass the gate.
    """
    out = Path(out)
    audited = min(1.0, max(_LEAST_SHARE, _AUDITED / max(decisions, 1)))
    design = (decisions, days, seed)
    made = simulate_reviewed(out / "data", design, audited, progress=progress)
    config = load_config(made.files["config"], _SETTINGS)
    trained = train(config, progress=progress)
    if trained.version is None:
        got = f"{decisions:,}, and the gate turned the model down ({trained.why})"
        do = "Take more, as in `errdetect demo --decisions 20000`; 60,000 are usual."
        raise ModelError(
            error_message("A demo", "have decisions enough to tell a model from luck", got, do)
        )
    batch = _last_month(made.files["decisions"], out / "data" / "last_month.parquet")
    scored = score(config, batch, out / "queue", progress=progress)
    reported = report(config, out / "report", progress=progress)
    files = {
        "policy report": reported.files["report"],
        **({"briefs": reported.files["briefs"]} if "briefs" in reported.files else {}),
        "review queue": scored.files["queue"],
        "scores": scored.files["scores"],
        "config": made.files["config"],
    }
    return DemoResult(trained, scored, files)


def _last_month(decisions: Path, place: Path) -> Path:
    frame = pd.read_parquet(decisions)
    recent = frame["decided_at"] > frame["decided_at"].max() - pd.Timedelta(days=30)
    write_parquet(frame[recent], place, provenance=Provenance("demo", __version__))
    return place
