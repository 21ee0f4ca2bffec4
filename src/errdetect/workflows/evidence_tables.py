"""Tables of an evidence bundle: decisions as counts, draws and answers under pseudonyms, figures."""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from errdetect.estimation.domains import MISSING
from errdetect.estimation.error_rates import SIDES, RateEstimates
from errdetect.estimation.misclassification_intervals import Misclassification
from errdetect.estimation.rate_records import SideRecord, TreatmentRecord
from errdetect.labels.audit_sample import AuditSample
from errdetect.snapshot import Snapshot

__all__ = [
    "GROUPINGS",
    "OVERALL",
    "Pseudonyms",
    "draw_table",
    "figure_table",
    "golden_table",
    "group_texts",
    "rate_tables",
    "volume_table",
]

#: Columns by which figures are published, where the log has them; none names a person.
GROUPINGS = ("policy_id", "market", "language", "moderator")
OVERALL = "overall"
_DIGITS = 16


class Pseudonyms:
    """Names that are this bundle's own: another period's, or another project's, differ.

    Parameters
    ----------
    key
        The project's secret.
    period
        The period's name.

    Examples
    --------
    >>> one, other = (Pseudonyms(b"sixteen bytes or more", p) for p in ("2026-Q3", "2026-Q4"))
    >>> one("draw", "d1") == one("draw", "d1"), one("draw", "d1") == other("draw", "d1")
    (True, False)
    """

    def __init__(self, key: bytes, period: str) -> None:
        self._key = hmac.new(key, f"evidence {period}".encode(), hashlib.sha256).digest()

    def __call__(self, kind: str, name: object) -> str:
        """Return the pseudonym of a name; empty for a missing one."""
        if name is None or name is pd.NA or name != name:
            return ""
        text = f"{kind}\0{name}".encode("utf-8", "surrogatepass")
        return f"{kind}-{hmac.new(self._key, text, hashlib.sha256).hexdigest()[:_DIGITS]}"


def group_texts(decisions: pd.DataFrame, column: str) -> "pd.Series[str]":
    """Return a column's values as the figures name them."""
    values = decisions[column]
    return values.astype("str").where(values.notna(), MISSING)


def figure_table(rates: RateEstimates, columns: Sequence[str]) -> pd.DataFrame:
    """Return every published figure: grouping, value, measure, the estimate's columns, method's code.

    Parameters
    ----------
    rates
        Overall and by each of the columns.
    columns
        The groupings.
    """
    parts = [rates.overall.assign(grouping=OVERALL, value="")]
    for column in columns:
        frame = rates.by_group[(column,)]
        parts.append(frame.assign(grouping=column, value=frame[column]))
    table = pd.concat(parts, ignore_index=True)
    table["method"] = table["method"].str.partition(":")[0]
    head = ["grouping", "value", "measure"]
    names = [name for name in rates.overall.columns if name not in head]
    return table[[*head, *names]].assign(suppressed=table["suppressed"].astype(int))


def volume_table(decisions: pd.DataFrame, inside: Any, columns: Sequence[str]) -> pd.DataFrame:
    """Count the decisions that the figures are about, by their columns, version and action.

    Parameters
    ----------
    decisions
        The period's automated decisions.
    inside
        Which of them the figures are about, shape (n_decisions,).
    columns
        The groupings.
    """
    names = [*columns, *(["moderator_version"] if "moderator_version" in decisions else [])]
    keys = {name: group_texts(decisions, name) for name in names}
    keys["enforced"] = decisions["enforced"].astype("str")
    frame = pd.DataFrame(keys)[np.asarray(inside, dtype=bool)]
    counted = frame.groupby([*names, "enforced"], sort=True).size()
    return counted.rename("n_decisions").reset_index()


def draw_table(
    snapshot: Snapshot, audit: AuditSample, logit: Any, columns: Sequence[str], name: Pseudonyms
) -> pd.DataFrame:
    """List every draw, answered or not, with its design and its answers.

    Parameters
    ----------
    snapshot
        The sample's decisions and draws.
    audit
        The draws that the figures use, with the weights that they use.
    logit
        Logit of each decision's bin of P(error), shape (n_decisions,).
    columns
        The groupings.
    name
        Gives the pseudonyms.
    """
    recorded, decisions = snapshot.audit_sample, snapshot.decisions
    waiting = recorded.unanswered
    drawn: Sequence[str] = [] if snapshot.draws is None else snapshot.draws["decision_id"].tolist()
    all_drawn = np.flatnonzero(decisions["decision_id"].isin(drawn))
    places = [audit.position, recorded.position, all_drawn]
    at = np.unique(np.concatenate([np.asarray(p, dtype=np.int64) for p in places]))
    rows = decisions.iloc[at].reset_index(drop=True)
    days = rows["decided_at"].dt.tz_convert(None).dt.normalize()
    monday = days - pd.to_timedelta(days.dt.day_of_week, unit="D")
    design = _at(at, recorded.position, recorded.weight)
    if waiting is not None:
        design = np.where(np.isnan(design), _at(at, waiting.position, waiting.weight), design)
    facts = {
        "draw": [name("draw", one) for one in rows["decision_id"]],
        "draw_ids": _draw_ids(snapshot, rows["decision_id"]),
        "week": monday.dt.strftime("%Y-%m-%d"),
        **{column: rows[column].astype("str") for column in columns},
        "enforced": rows["enforced"].astype("str"),
        "recorded": int(waiting is not None) * ~np.isnan(design),
        "not_due": np.isin(at, all_drawn) & np.isnan(design),
        "answered": np.isin(at, recorded.position).astype(int),
        "inclusion_probability": 1 / design,
        "weight": _at(at, audit.position, audit.weight),
        "variance": _at(at, audit.position, audit.variance),
        "logit": np.asarray(logit)[at],
        "error_share": _at(at, audit.position, audit.error),
        "wrong_action_share": _at(at, audit.position, audit.overturned),
        "expert_error": _at(at, audit.position, audit.expert_error),
        "expert_wrong_action": _at(at, audit.position, audit.expert_overturned),
        "expert_probability": _at(at, audit.position, audit.expert_probability),
    }
    return pd.DataFrame(facts).astype({"recorded": int, "not_due": int})


def _at(at: Any, position: Any, values: Any) -> Any:
    """Return the values of the draws at some rows; NaN where there is no such draw."""
    return pd.Series(values, index=position).reindex(at).to_numpy(float)


def _draw_ids(snapshot: Snapshot, decision_id: "pd.Series[str]") -> "pd.Series[str]":
    """Return the recorded draws of each decision; empty where none is recorded."""
    if snapshot.draws is None or not len(snapshot.draws):
        return pd.Series("", index=decision_id.index)
    grouped = snapshot.draws.groupby("decision_id")["draw_id"]
    known = grouped.agg(lambda ids: " ".join(sorted(set(map(str, ids)))))
    return decision_id.map(known).fillna("")


def golden_table(snapshot: Snapshot, sites: tuple[str, ...], name: Pseudonyms) -> pd.DataFrame:
    """List the golden answers: item, site, side, the known answer and the reviewer's.

    Parameters
    ----------
    snapshot, sites
        The sample, and its audit's sites.
    name
        Gives the sites' pseudonyms.
    """
    golden = snapshot.golden_items(sites)
    if golden is None:
        return pd.DataFrame(columns=["item", "site"])
    table = pd.DataFrame({k: np.asarray(v) for k, v in vars(golden).items()})
    known = {-1: "", **{i: name("site", site) for i, site in enumerate(sites)}}
    table["site"] = table["site"].map(known)
    flags = [c for c in table.columns if c.startswith(("expected", "said"))]
    table = table.astype(dict.fromkeys(flags, int))
    return table.rename(columns=lambda c: c.replace("said_", "answered_"))


def rate_tables(
    sides: Sequence[SideRecord],
    rates: RateEstimates,
    columns: Sequence[str],
    draw_names: Callable[[Any], list[str]],
) -> dict[str, pd.DataFrame]:
    """Return what each rate was computed from: domains, treatments, bins, answers.

    Parameters
    ----------
    sides
        From `record_rates`: three of each grouping, the overall ones last.
    rates, columns
        The rates that were recorded, and their groupings.
    draw_names
        Returns the pseudonyms of decisions by their rows.
    """
    parts: dict[str, list[pd.DataFrame]] = {
        name: [] for name in ("domains", "treatments", "bins", "answers")
    }
    groups = [*columns, OVERALL]
    for number, record in enumerate(sides):
        grouping = groups[number // len(SIDES)]
        values = np.array([""], dtype=object)
        if grouping != OVERALL:
            frame = rates.by_group[(grouping,)]
            values = frame.drop_duplicates(grouping)[grouping].to_numpy(object)
        head = {"grouping": grouping, "side": record.name}
        solved = values[record.alive]
        parts["domains"].append(_domain_rows(record, values).assign(**head))
        for order, treatment in enumerate(record.treatments):
            if order == 0:
                parts["bins"].append(_bin_rows(treatment, solved).assign(**head))
            told: dict[str, Any] = {**head, "treatment": order}
            parts["treatments"].append(_treatment_rows(treatment, solved).assign(**told))
            parts["answers"].append(
                _answer_rows(record, treatment, solved, draw_names).assign(**told)
            )
    return {name: _joined(found) for name, found in parts.items()}


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"value": []})
    head = [n for n in ("grouping", "value", "side", "treatment") if n in table]
    return table[[*head, *(n for n in table.columns if n not in head)]]


def _domain_rows(record: SideRecord, values: Any) -> pd.DataFrame:
    size, domain = len(values), record.domain
    if record.name != "all":
        domain = np.where(record.enforced == (record.name == "enforced"), domain, -1)

    def count(which: Any) -> Any:
        return np.bincount(domain[which & (domain >= 0)], minlength=size)

    known = record.known
    pending, lost, unseen = record.missing
    share = record.treatments[0].outcomes.other_share if record.treatments else 0.0
    return pd.DataFrame(
        {
            "value": values,
            "n_decisions": count(domain >= 0),
            "n_reviews": record.reviews,
            "n_wrong": count(known.wrong),
            "n_right": count(known.right),
            "n_appealed": np.nan if known.appealed is None else count(known.appealed),
            "pending": pending,
            "lost": lost,
            "unseen": unseen,
            "response": record.response,
            "other_share": share,
        }
    )


def _treatment_rows(treatment: TreatmentRecord, values: Any) -> pd.DataFrame:
    outcomes, size = treatment.outcomes, len(values)
    nothing = np.full(size, np.nan)
    fill = np.zeros((2, size)) if outcomes.fill is None else outcomes.fill
    clustered = treatment.clustered
    return pd.DataFrame(
        {
            "value": values,
            "how": treatment.how,
            "refused": np.isin(treatment.how, ["not_corrected", "reviewers_at_chance"]).astype(int),
            "narrow": int(treatment.narrow),
            "borrowed": int(treatment.borrowed),
            "spread": nothing if outcomes.spread is None else outcomes.spread,
            "fill_down": fill[0],
            "fill_up": fill[1],
            **dict(_reviewer_columns(outcomes.reviewers, nothing)),
            "clustered_rate": nothing if clustered is None else clustered.estimate,
            "clustered_low": nothing if clustered is None else clustered.low,
            "clustered_high": nothing if clustered is None else clustered.high,
        }
    )


def _reviewer_columns(
    reviewers: Misclassification | None, nothing: Any
) -> Iterator[tuple[str, Any]]:
    known = (
        {} if reviewers is None else {"found": reviewers.found, "false_positive": reviewers.alarm}
    )
    for kind in ("found", "false_positive"):
        rates = known.get(kind)
        for end, tail in (("estimate", ""), ("low", "_low"), ("high", "_high")):
            yield kind + tail, nothing if rates is None else getattr(rates, end)


def _bin_rows(treatment: TreatmentRecord, values: Any) -> pd.DataFrame:
    domains = treatment.domains
    return pd.DataFrame(
        {
            "value": values[domains.bin_cell],
            "logit": domains.bin_logit,
            "n_decisions": domains.bin_count.astype(np.int64),
            "spread": domains.bin_spread,
        }
    )


def _answer_rows(
    record: SideRecord,
    treatment: TreatmentRecord,
    values: Any,
    draw_names: Callable[[Any], list[str]],
) -> pd.DataFrame:
    at = record.audit.position[treatment.domain[record.audit.position] >= 0]
    domains = treatment.domains
    return pd.DataFrame(
        {
            "value": values[domains.draw_cell],
            "draw": draw_names(at),
            "answer": domains.draw_error,
        }
    )
