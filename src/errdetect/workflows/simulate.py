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

__all__ = ["SimulateResult", "simulate", "simulate_reviewed"]

#: Share of the decisions that the designed audit draws.
_AUDITED = 0.06


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
    return simulate_reviewed(out, (decisions, days, seed), _AUDITED, progress=progress)


def simulate_reviewed(
    out: str | Path,
    design: tuple[int, int, int],
    audit_share: float,
    *,
    progress: Progress = lambda _: None,
) -> SimulateResult:
    """Do as `simulate` does, with another share of audited decisions.

    Parameters
    ----------
    out
        Folder; made if missing.
    design
        Decisions, days and random seed.
    audit_share
        Share of the decisions that the designed audit draws, in [0, 1].
    progress
        Callback for progress messages.
    """
    decisions, days, seed = design
    progress(f"simulating {decisions:,} decisions over {days} days")
    market = simulate_marketplace(decisions, days, seed, audit_share=audit_share)
    progress("writing the tables")
    told: dict[str, float] = {"decisions": decisions, "days": days, "seed": seed}
    if audit_share != _AUDITED:
        told["audit_share"] = audit_share
    run = Provenance("simulate", __version__, told, seed=seed, created_at=datetime.now(UTC))
    files = write_marketplace(market, out, run)
    return SimulateResult(
        len(market.decisions), len(market.reviews), int(market.truth["is_error"].sum()), files
    )
