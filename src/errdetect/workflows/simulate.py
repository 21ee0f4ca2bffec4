"""simulate: a marketplace with known true verdicts, in the contract's tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from errdetect.data.provenance import Provenance
from errdetect.simulation.marketplace import simulate as simulate_marketplace
from errdetect.simulation.marketplace import write_marketplace
from errdetect.version import __version__
from errdetect.workflows.load_data import Progress

__all__ = ["SimulateResult", "simulate"]


@dataclass(frozen=True)
class SimulateResult:
    """What was simulated, and the files written."""

    n_decisions: int
    n_reviews: int
    n_errors: int
    files: Mapping[str, Path]


def simulate(
    out: str | Path, *, decisions: int, days: int, seed: int, progress: Progress = lambda _: None
) -> SimulateResult:
    """Simulate a marketplace and write its tables, truth and config.

    Parameters
    ----------
    out
        Folder; made if missing.
    decisions, days
        Size and length.
    seed
        Random seed; the same seed writes the same bytes.
    progress
        Callback for progress messages.
    """
    progress(f"simulating {decisions:,} decisions over {days} days")
    market = simulate_marketplace(decisions, days, seed)
    progress("writing the tables")
    told = {"decisions": decisions, "days": days, "seed": seed}
    run = Provenance("simulate", __version__, told, seed=seed, created_at=datetime.now(UTC))
    files = write_marketplace(market, out, run)
    return SimulateResult(
        len(market.decisions), len(market.reviews), int(market.truth["is_error"].sum()), files
    )
