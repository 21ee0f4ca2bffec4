"""Draft rows of the EU's harmonised transparency report on automated means.

The layout is that of Commission Implementing Regulation (EU) 2024/2835, the quantitative template's
part on the use of automated means. A person must check and file it; nothing here is a filing.
"""

import math
from collections.abc import Mapping

import pandas as pd

from errdetect.data.dsa_statements import BY_PEOPLE, FULLY
from errdetect.errors import DataError, error_message

__all__ = [
    "DSA_COLUMNS",
    "EU_LANGUAGES",
    "MEMBER_STATES",
    "OWN_INITIATIVE",
    "TOTAL",
    "MeasureCounts",
    "count_measures",
    "dsa_rows",
    "split_scopes",
]

DSA_COLUMNS = (
    "Applicability",
    "Service",
    "Reporting period",
    "Section",
    "Indicator",
    "Scope",
    "Value",
    "Contextual Information",
)
SECTION = "Use of automated means for content moderation"
TOTAL, OWN_INITIATIVE = "Total number", "Own-initiative"
SOLELY = "Number of measures solely taken by automated means"
NOT_AUTOMATED = "Number of measures not taken by automated means"
INDICATORS = {
    "accuracy": "Accuracy of the automated means - Accuracy",
    "precision": "Accuracy of the automated means - Precision",
    "recall": "Accuracy of the automated means - Recall",
}
#: The Union's official languages, ISO 639-1.
EU_LANGUAGES = (
    "bg",
    "cs",
    "da",
    "de",
    "el",
    "en",
    "es",
    "et",
    "fi",
    "fr",
    "ga",
    "hr",
    "hu",
    "it",
    "lt",
    "lv",
    "mt",
    "nl",
    "pl",
    "pt",
    "ro",
    "sk",
    "sl",
    "sv",
)
#: The Member States, ISO 3166-1 alpha-2.
MEMBER_STATES = (
    "AT",
    "BE",
    "BG",
    "CY",
    "CZ",
    "DE",
    "DK",
    "EE",
    "ES",
    "FI",
    "FR",
    "GR",
    "HR",
    "HU",
    "IE",
    "IT",
    "LT",
    "LU",
    "LV",
    "MT",
    "NL",
    "PL",
    "PT",
    "RO",
    "SE",
    "SI",
    "SK",
)
NOT_AVAILABLE = "n/a"
DRAFT = "DRAFT for a person to check and file."

#: (taken solely by automated means, not taken by automated means); None where unknown.
MeasureCounts = tuple[int, int | None]


def count_measures(decisions: pd.DataFrame, *, column: str = "moderator") -> MeasureCounts:
    """Count the measures (enforcements) taken solely, and not at all, by automated means.

    Parameters
    ----------
    decisions
        The contract's decisions with `enforced`.
    column
        Column with the Transparency Database's AUTOMATED_DECISION_... values, if any. A log without
        them holds automated decisions only, so the second count is unknown.

    Returns
    -------
    (solely, not)

    Examples
    --------
    >>> count_measures(pd.DataFrame({"enforced": [True, True, False]}))
    (2, None)
    >>> count_measures(pd.DataFrame({"enforced": [True, True], "moderator": [
    ...     "AUTOMATED_DECISION_FULLY", "AUTOMATED_DECISION_NOT_AUTOMATED"]}))
    (1, 1)
    """
    measures = decisions[decisions["enforced"].to_numpy(dtype=bool)]
    how = measures[column] if column in measures else pd.Series(dtype="str")
    if not how.astype("str").str.startswith("AUTOMATED_DECISION_").any():
        return len(measures), None
    return int((how == FULLY).sum()), int((how == BY_PEOPLE).sum())


def split_scopes(estimates: pd.DataFrame, by: str | None = None) -> dict[str, pd.DataFrame]:
    """Split an estimates table into the template's scopes.

    Parameters
    ----------
    estimates
        As `error_rates.estimate_rates` returns it, with at most one `by` column.
    by
        That column: languages (BCP 47; the region is cut off) or Member States. Values that are
        neither are left out, as the template has no row for them.

    Returns
    -------
    dict
        Scope -> its rows.

    Raises
    ------
    DataError
        Where two values of the column are one language.

    Examples
    --------
    >>> rows = pd.DataFrame({"language": [None, "de-AT", "tlh"], "measure": "recall"})
    >>> sorted(split_scopes(rows, "language"))
    ['Total number', 'de']
    """
    if by is None:
        return {TOTAL: estimates}
    scopes = {TOTAL: estimates[estimates[by].isna()]}
    for value in sorted(estimates[by].dropna().unique()):
        scope = _scope_name(str(value))
        if scope in scopes:
            do = "Shorten the values to ISO 639-1 before estimating."
            raise DataError(error_message(by, "give one cell a language", f"two for {scope}", do))
        if scope is not None:
            scopes[scope] = estimates[estimates[by] == value]
    return scopes


def _scope_name(value: str) -> str | None:
    if value in MEMBER_STATES:
        return value
    language = value.replace("_", "-").split("-")[0].lower()
    return language if language in EU_LANGUAGES else None


def dsa_rows(
    scopes: Mapping[str, pd.DataFrame],
    *,
    service: str,
    period: str,
    counts: Mapping[str, MeasureCounts] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Write the rows on automated means, for a person to check and file.

    Parameters
    ----------
    scopes
        Scope -> estimates of its decisions, from `split_scopes`. Add `Own-initiative` where the log
        shows which decisions were; without it those rows are n/a.
    service
        Name of the service.
    period
        Reporting period, e.g. `2026-01-01/2026-12-31`.
    counts
        Scope -> counts from `count_measures`.
    confidence
        Nominal coverage of the intervals.

    Returns
    -------
    DataFrame
        Columns `DSA_COLUMNS`, all text: shares as decimals between 0 and 1, `n/a` where
        suppressed, and interval, method and the word DRAFT in the contextual information.

    Raises
    ------
    DataError
        Where the service's name would act as a formula in a spreadsheet.

    Examples
    --------
    >>> row = {"measure": "precision", "estimate": 0.9, "low": 0.84, "high": 0.945,
    ...        "n_reviews": 200, "n_decisions": 20000, "suppressed": False, "proxy": None,
    ...        "method": "score_t+adjudicated: weighted audit"}
    >>> rows = dsa_rows({"Total number": pd.DataFrame([row])}, service="Market", period="2026")
    >>> rows.loc[3, ["Indicator", "Value"]].tolist()
    ['Accuracy of the automated means - Precision', '0.9000']
    """
    if service[:1] in ("=", "+", "-", "@", "\t") or not service.strip():
        must = "be a name that a spreadsheet does not read as a formula"
        raise DataError(error_message("service", must, repr(service), "Choose a plain name."))
    order = [TOTAL, OWN_INITIATIVE, *EU_LANGUAGES, *MEMBER_STATES]
    wanted = [scope for scope in order if scope in scopes or scope == OWN_INITIATIVE]
    rows = []
    for scope in wanted:
        where = "All" if scope in (TOTAL, OWN_INITIATIVE) else "Only for VLOPs"
        cells = _count_cells((counts or {}).get(scope)) | _rate_cells(scopes.get(scope), confidence)
        for indicator, (value, context) in cells.items():
            rows.append((where, service, period, SECTION, indicator, scope, value, context))
    return pd.DataFrame(rows, columns=list(DSA_COLUMNS), dtype="str")


def _count_cells(counts: MeasureCounts | None) -> dict[str, tuple[str, str]]:
    solely, by_people = counts or (None, None)
    unknown = (NOT_AVAILABLE, f"{DRAFT} The decision log does not show it.")
    known = f"{DRAFT} Counted from the decision log."
    return {
        SOLELY: unknown if solely is None else (str(solely), known),
        NOT_AUTOMATED: unknown if by_people is None else (str(by_people), known),
    }


def _rate_cells(estimates: pd.DataFrame | None, confidence: float) -> dict[str, tuple[str, str]]:
    cells = {}
    records = [] if estimates is None else estimates.to_dict("records")
    rows = {str(r["measure"]): {str(name): value for name, value in r.items()} for r in records}
    for measure, indicator in INDICATORS.items():
        row = rows.get(measure)
        if row is None:
            cells[indicator] = (NOT_AVAILABLE, f"{DRAFT} The decision log does not show it.")
        elif row["suppressed"]:
            cells[indicator] = (NOT_AVAILABLE, f"{DRAFT} Not estimated: {row['method']}.")
        else:
            cells[indicator] = (f"{row['estimate']:.4f}", _context_text(row, confidence))
    return cells


def _context_text(row: Mapping[str, object], confidence: float) -> str:
    text = (
        f"{DRAFT} {confidence:.0%} interval {row['low']:.4f} to {row['high']:.4f}, from "
        f"{row['n_reviews']:,} audited of {row['n_decisions']:,} decisions. Method: {row['method']}."
    )
    proxy = row["proxy"]
    if isinstance(proxy, float) and not math.isnan(proxy):
        text += f" Counting decisions without a successful appeal as right would give {proxy:.4f}."
    return text
