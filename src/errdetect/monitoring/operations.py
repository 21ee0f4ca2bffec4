"""Delays, response, queue yield, calibration, reviewers and ages."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config_schema import MonitorSettings
from errdetect.labels.audit_sample import DUE_AFTER
from errdetect.monitoring.audit_stream import AuditStream, Periods
from errdetect.monitoring.checks import Check, Status, compare_with_limit
from errdetect.monitoring.golden_answers import GoldenAnswers, overlap_disagreement
from errdetect.schemas import AUDIT, RE_REVIEW, UPHELD
from errdetect.snapshot import Snapshot
from errdetect.stats.intervals import clopper_pearson, wilson

__all__ = [
    "age_check",
    "calibration_check",
    "delay_checks",
    "estimated_error_check",
    "queue_yield_check",
    "response_check",
    "reviewer_checks",
]

Floats = npt.NDArray[np.float64]
_DAY = pd.Timedelta(days=1)


def estimated_error_check(
    decisions: pd.DataFrame,
    p_error: "pd.Series[float]",
    periods: Periods,
    settings: MonitorSettings,
) -> Check:
    """Early warning: the mean of the model's calibrated P(error) by date of decision.

    Parameters
    ----------
    decisions
        With decision_id and decided_at.
    p_error
        By decision_id, of the decisions that were scored.
    periods, settings
        The periods to compare; `monitor` of the config.
    """
    name = "estimated_error"
    p = p_error.reindex(pd.Index(decisions["decision_id"])).to_numpy(float)
    known = ~np.isnan(p)
    old = p[periods.in_reference(decisions["decided_at"]) & known]
    new = p[periods.in_window(decisions["decided_at"]) & known]
    if min(len(old), len(new)) < settings.min_reviews:
        return Check(name, "all", "unknown", note="too few decisions of both periods are scored")
    value, reference = float(new.mean()), float(old.mean())
    half = 1.96 * float(new.std()) / np.sqrt(len(new))
    limit = min(settings.estimated_rise * reference, 1.0)
    status = compare_with_limit(value, limit)
    if value - half <= reference:  # so few decisions vary by so much without any change
        status = "ok"
    return Check(
        name, "all", status, value, value - half, value + half, limit,
        reference, "mean P(error) of the scored decisions: an early warning, no measurement",
    )  # fmt: skip


def calibration_check(
    stream: AuditStream,
    decisions: pd.DataFrame,
    p_error: "pd.Series[float]",
    periods: Periods,
    settings: MonitorSettings,
) -> Check:
    """Compare audited with estimated errors among the window's audited decisions that were scored.

    Parameters
    ----------
    stream
        From `audit_stream`, of these decisions.
    decisions, p_error, periods, settings
        See `estimated_error_check`.
    """
    late = stream.frame[periods.in_window(stream.frame["known_at"])]
    ids = pd.Index(decisions["decision_id"].iloc[late["position"]])
    p = p_error.reindex(ids).to_numpy(float)
    known = ~np.isnan(p)
    n = int(known.sum())
    if n < settings.min_reviews:
        note = f"{n} of the window's audited decisions are scored"
        return Check("calibration", "all", "unknown", note=note)
    weight = late["weight"].to_numpy(float)[known]
    error = late["error"].to_numpy(float)[known]
    found, expected = float(weight @ error), float(weight @ p[known])
    # Where no heavy draw errs, the errors found show no spread: what P(error) expects counts as well.
    expected_variance = float(weight**2 @ (p[known] * (1 - p[known])))
    variance = max(float(weight**2 @ (error - p[known]) ** 2), expected_variance)
    half = 1.96 * np.sqrt(variance)
    value, low, high = (max(0.0, x) / expected for x in (found, found - half, found + half))
    limit = settings.calibration
    off = low > limit or high < 1 / limit
    return Check(
        "calibration", "all", "warn" if off else "ok", value, low, high, limit, 1.0,
        "audited over estimated errors; warns where the interval lies beyond the limit or its inverse",
    )  # fmt: skip


def queue_yield_check(
    reviews: pd.DataFrame,
    scores: pd.DataFrame | None,
    periods: Periods,
    settings: MonitorSettings,
) -> Check:
    """Compare the errors that the queue's reviews found with those that P(error) predicted.

    Parameters
    ----------
    reviews
        The current reviews.
    scores
        decision_id, p_error of the scored decisions; None where nothing was scored.
    periods, settings
        The periods to compare; `monitor` of the config.
    """
    name = "queue_yield"
    own = (reviews["source"] == RE_REVIEW).to_numpy(bool) & periods.in_window(
        reviews["reviewed_at"]
    )
    latest = reviews[own].sort_values("reviewed_at", kind="stable")
    latest = latest.drop_duplicates("decision_id", keep="last")
    if scores is None or len(latest) < settings.min_reviews:
        return Check(
            name, "all", "unknown", note=f"{len(latest)} reviews of the queue in the window"
        )
    p = scores.drop_duplicates("decision_id").set_index("decision_id")["p_error"]
    expected = p.reindex(pd.Index(latest["decision_id"])).to_numpy(float)
    known = ~np.isnan(expected)
    n = int(known.sum())
    if n < settings.min_reviews or not expected[known].sum() > 0:
        return Check(name, "all", "unknown", note="too few of the queue's reviews have a score")
    found = np.array([float((latest["verdict"] != UPHELD).to_numpy(bool)[known].sum())])
    ends = clopper_pearson(found, np.array([float(n)]))
    predicted = float(expected[known].sum())
    value = float(found[0]) / predicted
    low, high = (n * float(end[0]) / predicted for end in (ends.low, ends.high))
    status: Status = "warn" if high < settings.queue_yield else "ok"
    return Check(
        name, "all", status, value, low, high, settings.queue_yield,
        note=f"{found[0]:.0f} errors found in {n} reviews, {predicted:.0f} expected",
    )  # fmt: skip


def delay_checks(
    snapshot: Snapshot, stream: AuditStream, periods: Periods, settings: MonitorSettings
) -> Iterator[Check]:
    """Yield the days from decision to audit answer (`review_delay`) and to label (`label_delay`).

    Parameters
    ----------
    snapshot, stream, periods, settings
        See `delay_checks`'s siblings; the stream is of the snapshot's automated decisions.
    """
    frame = stream.frame
    yield _delay("review_delay", frame["decided_at"], frame["known_at"], periods, settings)
    labels = snapshot.labels
    known = labels["known_at"].notna().to_numpy(bool)
    yield _delay(
        "label_delay",
        snapshot.decisions.loc[known, "decided_at"].reset_index(drop=True),
        labels.loc[known, "known_at"].reset_index(drop=True),
        periods,
        settings,
    )


def _delay(
    name: str,
    decided: "pd.Series[pd.Timestamp]",
    known: "pd.Series[pd.Timestamp]",
    periods: Periods,
    settings: MonitorSettings,
) -> Check:
    days = ((pd.to_datetime(known, utc=True) - pd.to_datetime(decided, utc=True)) / _DAY).to_numpy(
        float
    )
    old, new = days[periods.in_reference(known)], days[periods.in_window(known)]
    if min(len(old), len(new)) < settings.min_reviews:
        return Check(name, "all", "unknown", note="too few in a period")
    value, reference = float(np.median(new)), float(np.median(old))
    limit = reference + settings.delay_days
    low, high = np.quantile(new, [0.025, 0.975])
    return Check(
        name, "all", compare_with_limit(value, limit), value, float(low), float(high), limit,
        reference, "median days since the decision, with the middle 95 %",
    )  # fmt: skip


def response_check(
    draws: pd.DataFrame | None, reviews: pd.DataFrame, periods: Periods, settings: MonitorSettings
) -> Check:
    """Return the answered share of the audit's draws that came due in the window.

    Parameters
    ----------
    draws
        Columns of `schemas.DRAWS`; None where none is recorded.
    reviews, periods, settings
        The current reviews; the periods to compare; `monitor` of the config.
    """
    name = "response"
    if draws is None or not len(draws):
        return Check(name, "all", "unknown", note="the audit's draws are not recorded")
    due = draws["due_at"].where(draws["due_at"].notna(), draws["drawn_at"] + DUE_AFTER)
    own = draws[periods.in_window(due)]
    if len(own) < settings.min_reviews:
        return Check(name, "all", "unknown", note=f"{len(own)} draws came due in the window")
    answered = reviews.loc[(reviews["source"] == AUDIT).to_numpy(bool), "decision_id"]
    n = len(own)
    share = np.array([float(own["decision_id"].isin(answered).mean())])
    ends = wilson(share, np.array([float(n)]))
    value, limit, high = float(share[0]), settings.response, float(ends.high[0])
    return Check(
        name, "all", compare_with_limit(high, limit, most=False), value, float(ends.low[0]), high, limit,
        note=f"of {n} draws that came due; warns where the interval lies below",
    )  # fmt: skip


def reviewer_checks(
    snapshot: Snapshot, golden: GoldenAnswers, periods: Periods, settings: MonitorSettings
) -> Iterator[Check]:
    """Yield golden accuracy by site, and the disagreement of reviewers on the same decision.

    Parameters
    ----------
    snapshot, golden, periods, settings
        As for the other checks.
    """
    frame = golden.frame
    sites = sorted(frame["site"].dropna().unique(), key=str)
    for name, rows in [("all", frame), *((f"site={s}", frame[frame["site"] == s]) for s in sites)]:
        yield _golden_accuracy(name, rows, settings)
    yield _overlap(snapshot, periods, settings)


def _golden_accuracy(name: str, rows: pd.DataFrame, settings: MonitorSettings) -> Check:
    """Compare right answers of the window with the reference's, at the reference's mix of items.

    Errors are harder to find than right decisions are to leave alone, so another mix of golden items
    would look like other reviewers.
    """
    late, wrong = (rows[c].to_numpy(bool) for c in ("late", "wrong"))
    right, n_old = rows["right"].to_numpy(float), int((~late).sum())
    if min(n_old, int(late.sum())) < settings.min_reviews:
        note = f"{n_old} and {int(late.sum())} golden answers in reference and window"
        return Check("golden_accuracy", name, "unknown", note=note)
    kinds = [k for k in (wrong, ~wrong) if (k & late).any() and (k & ~late).any()]
    if not kinds:
        note = "the window's golden items are of another kind than the reference's"
        return Check("golden_accuracy", name, "unknown", note=note)
    mix = np.array([float((k & ~late).sum()) for k in kinds])
    mix /= mix.sum()
    n = np.array([float((k & late).sum()) for k in kinds])
    value = float(mix @ [right[k & late].mean() for k in kinds])
    reference = float(mix @ [right[k & ~late].mean() for k in kinds])
    ends = wilson(np.array([value]), np.array([1 / float((mix**2 / n).sum())]))
    limit, high = reference - settings.reviewer_accuracy, float(ends.high[0])
    status = compare_with_limit(high, limit, most=False)
    return Check(
        "golden_accuracy", name, status, value, float(ends.low[0]), high, limit, reference,
        "share of golden items answered rightly, at the reference's mix; warns where the interval lies below",
    )  # fmt: skip


def _overlap(snapshot: Snapshot, periods: Periods, settings: MonitorSettings) -> Check:
    """Compare how often two reviewers of one decision disagree with the reference."""
    name = "reviewer_disagreement"
    (k_old, n_old), (k_new, n_new) = overlap_disagreement(snapshot, periods)
    if min(n_old, n_new) < settings.min_reviews:
        note = f"{n_old} and {n_new} decisions with two reviewers in reference and window"
        return Check(name, "all", "unknown", note=note)
    value, reference = k_new / n_new, k_old / n_old
    ends = wilson(np.array([value]), np.array([float(n_new)]))
    limit = reference + settings.reviewer_accuracy
    status = compare_with_limit(float(ends.low[0]), limit)
    return Check(
        name, "all", status, value, float(ends.low[0]), float(ends.high[0]), limit, reference,
        "share of the decisions with two reviewers on which they disagree",
    )  # fmt: skip


def age_check(name: str, made_at: datetime | None, periods: Periods, days: float) -> Check:
    """Return the age in days of a model or state at the end of the window.

    Parameters
    ----------
    name
        The check's code.
    made_at
        When it was made; None where there is none.
    periods
        The periods to compare.
    days
        The largest age.

    Examples
    --------
    >>> day = pd.Timestamp("2026-01-01", tz="UTC")
    >>> periods = Periods(day, day, day, day, day + pd.Timedelta(days=100))
    >>> age_check("model_age", day.to_pydatetime(), periods, 90).status
    'warn'
    """
    if made_at is None:
        return Check(name, "all", "unknown", limit=days, note="there is none")
    moment = pd.Timestamp(made_at)
    moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment
    age = max(0.0, (periods.now - moment) / _DAY)
    status = compare_with_limit(age, days)
    return Check(name, "all", status, age, limit=days, note=f"of {moment:%Y-%m-%d}")
