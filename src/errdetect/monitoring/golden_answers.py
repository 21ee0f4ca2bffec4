"""Reviewers over time: golden answers in the reference and the window, and agreement of overlaps."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.monitoring.audit_stream import Periods
from errdetect.monitoring.change_causes import GoldenShift
from errdetect.schemas import AUDIT, GOLDEN, UPHELD
from errdetect.snapshot import Snapshot

__all__ = ["GoldenAnswers", "golden_answers", "overlap_disagreement"]


@dataclass(frozen=True)
class GoldenAnswers:
    """Golden answers of the two periods.

    Parameters
    ----------
    frame
        known_at, site, right (whether the answer is the known one), flags (calls the decision
        wrong), wrong (the decision is known to be wrong), late (in the window), one row each.
    """

    frame: pd.DataFrame

    def shift(self, min_items: int, *, settled: bool = False) -> GoldenShift | None:
        """Return the change of the reviewers' error rates; None with too few items in a period.

        Parameters
        ----------
        min_items
            Answers on right decisions that each period must have.
        settled
            Whether experts settle all flags: reviewers' unfounded flags then change no estimate.
        """
        if not len(self.frame):
            return None
        late, wrong = (self.frame[name].to_numpy(bool) for name in ("late", "wrong"))
        flags = self.frame["flags"].to_numpy(float)
        if min((late & ~wrong).sum(), (~late & ~wrong).sum()) < min_items:
            return None
        false, false_se = _difference(flags[~wrong & ~late], flags[~wrong & late])
        if settled:
            false, false_se = 0.0, 0.0
        # Sensitivity matters little to a low rate; without wrong items it counts as unchanged.
        found, found_se = _difference(flags[wrong & ~late], flags[wrong & late])
        return GoldenShift(false, false_se, found, found_se)


def _difference(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Return a difference of shares and its standard error, with two items added to each."""
    if not len(before) or not len(after):
        return 0.0, 0.0
    shares = [(part.sum() + 1) / (len(part) + 2) for part in (before, after)]
    variance = sum(
        p * (1 - p) / (len(part) + 2) for p, part in zip(shares, (before, after), strict=True)
    )
    return float(after.mean() - before.mean()), float(np.sqrt(variance))


def golden_answers(snapshot: Snapshot, periods: Periods) -> GoldenAnswers:
    """Collect the golden answers of the reference and the window.

    Parameters
    ----------
    snapshot
        Decisions and reviews as of a moment.
    periods
        The periods to compare.
    """
    known = snapshot.current_reviews
    golden = known[(known["source"] == GOLDEN).to_numpy(bool)]
    golden = golden[golden["expected"].notna().to_numpy(bool)] if len(golden) else golden
    late = periods.in_window(golden["reviewed_at"])
    used = late | periods.in_reference(golden["reviewed_at"])
    golden, late = golden[used], late[used]
    frame = pd.DataFrame(
        {
            "known_at": golden["reviewed_at"].to_numpy(),
            "site": golden["site"].to_numpy(),
            "right": (golden["verdict"] == golden["expected"]).to_numpy(bool),
            "flags": (golden["verdict"] != UPHELD).to_numpy(bool),
            "wrong": (golden["expected"] != UPHELD).to_numpy(bool),
            "late": late,
        }
    )
    return GoldenAnswers(frame)


def overlap_disagreement(
    snapshot: Snapshot, periods: Periods
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Count audited decisions on which two reviewers disagree, of all that two reviewed.

    Returns
    -------
    ((n_disagree, n), (n_disagree, n))
        In the reference and in the window, by when the second answer became known.
    """
    history = snapshot.review_history
    counts = history["standing"].isin([COUNTS, OVERRULED]) & (history["source"] == AUDIT)
    rows = history[counts.to_numpy(bool)]
    if not len(rows):
        return (0, 0), (0, 0)
    error = rows["verdict"] != UPHELD
    grouped = rows.assign(error=error).groupby("position")
    found = grouped.agg(n=("error", "size"), share=("error", "mean"), at=("known_at", "max"))
    found = found[(found["n"] > 1).to_numpy(bool)]
    differ = ((found["share"] > 0) & (found["share"] < 1)).to_numpy(bool)
    result = []
    for inside in (periods.in_reference(found["at"]), periods.in_window(found["at"])):
        result.append((int(differ[inside].sum()), int(inside.sum())))
    return result[0], result[1]
