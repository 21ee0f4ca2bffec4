"""Versions of reviews: when each became known, and which row of a review counts.

One `review_id` may have several rows. The row known last is the review, the earlier ones are
its history, which labels as of an earlier moment need.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.pseudonyms import is_pseudonym
from errdetect.schemas import LABEL_STUDIO_IDS, REVIEWS

__all__ = ["ANSWER", "find_repeated_versions", "known_at", "latest_versions", "superseded_at"]

Bools = npt.NDArray[np.bool_]
Times = npt.NDArray[np.datetime64]

#: The content of a version: all columns but its id and its times.
ANSWER = tuple(c.name for c in REVIEWS if c.name not in ("review_id", "reviewed_at", "updated_at"))


def known_at(reviews: pd.DataFrame) -> "pd.Series[pd.Timestamp]":
    """Return when each review became known: at `reviewed_at`, or at a later `updated_at`.

    A row holds the answer as last changed, so it was unknown before `updated_at`.

    Parameters
    ----------
    reviews
        n reviews with `reviewed_at`, perhaps with `updated_at`.

    Returns
    -------
    pandas.Series
        Shape (n,), UTC timestamps in microseconds, index as given.

    Examples
    --------
    >>> reviews = pd.DataFrame({
    ...     "reviewed_at": pd.to_datetime(["2026-01-01", "2026-01-01"], utc=True),
    ...     "updated_at": pd.to_datetime([None, "2026-01-05"], utc=True)})
    >>> known_at(reviews).dt.day.tolist()
    [1, 5]
    """
    known = pd.to_datetime(reviews["reviewed_at"], utc=True).dt.as_unit("us")
    if "updated_at" in reviews:
        updated = pd.to_datetime(reviews["updated_at"], utc=True).dt.as_unit("us")
        later = updated > known
        if later.any():
            known = known.where(~later, updated)
    return known


def superseded_at(reviews: pd.DataFrame) -> Times:
    """Return when the next version of each row's review became known.

    Of rows with one `review_id` and one moment the first counts, the others are superseded at once;
    the readers reject such rows.

    Parameters
    ----------
    reviews
        n reviews with `review_id`, `reviewed_at`, perhaps with `updated_at`.

    Returns
    -------
    numpy.ndarray
        Shape (n,), datetime64[us] in UTC; NaT where no row corrects this one.

    Examples
    --------
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2", "r1"],
    ...     "reviewed_at": pd.to_datetime(["2026-01-05", "2026-01-02", "2026-01-01"], utc=True)})
    >>> superseded_at(reviews).astype("datetime64[D]").tolist()
    [None, None, datetime.date(2026, 1, 5)]
    """
    found = np.full(len(reviews), np.datetime64("NaT", "us"))
    ids = reviews["review_id"]
    again = np.flatnonzero(ids.duplicated(keep=False).to_numpy(bool))
    if not len(again):
        return found
    rows = reviews.iloc[again]
    known = known_at(rows).to_numpy("datetime64[us]")
    code = pd.factorize(rows["review_id"])[0]
    order = np.lexsort((-again, known, code))
    older, newer = order[:-1], order[1:]
    one = code[older] == code[newer]
    found[again[older[one]]] = known[newer[one]]
    return found


def latest_versions(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that no later row of the same review corrects, in their order.

    Examples
    --------
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r1"], "verdict": ["overturned", "upheld"],
    ...     "reviewed_at": pd.to_datetime(["2026-01-05", "2026-01-01"], utc=True)})
    >>> latest_versions(reviews)["verdict"].tolist()
    ['overturned']
    """
    corrected = ~np.isnat(superseded_at(reviews))
    return reviews[~corrected] if corrected.any() else reviews


def find_repeated_versions(reviews: pd.DataFrame) -> tuple[Bools, Bools]:
    """Return which rows repeat the review and the moment of an earlier row.

    Parameters
    ----------
    reviews
        n reviews with the contract's columns, in the order in which they were read.

    Returns
    -------
    tuple of numpy.ndarray
        Shape (n,) each: rows with the values of the first row of that review and moment (copies),
        and rows with other values (conflicts).

    Examples
    --------
    >>> reviews = pd.DataFrame({
    ...     "review_id": "r1", "verdict": ["upheld", "upheld", "overturned", "overturned"],
    ...     "reviewed_at": pd.to_datetime(["2026-01-01"] * 3 + ["2026-01-02"], utc=True)})
    >>> [mask.tolist() for mask in find_repeated_versions(reviews)]
    [[False, True, False, False], [False, False, True, False]]
    """
    key = pd.DataFrame({"id": reviews["review_id"].array, "at": known_at(reviews).array})
    again = key.duplicated().to_numpy(bool)
    same = again.copy()
    if not again.any():
        return same, again
    group = key.groupby(["id", "at"], sort=False).ngroup().to_numpy()
    first = np.flatnonzero(~again)[group[again]]
    rows = np.flatnonzero(again)
    for name in (name for name in ANSWER if name in reviews):
        one, other = (reviews[name].iloc[at].reset_index(drop=True) for at in (first, rows))
        equal = ((one == other) | (one.isna() & other.isna())).fillna(False).to_numpy(bool)
        if name == "reviewer_id":
            equal = equal | _is_same_annotator(reviews["review_id"].iloc[rows], one, other)
        same[rows] &= equal
    return same, again & ~same


def _is_same_annotator(
    review_id: "pd.Series[str]", one: "pd.Series[str]", other: "pd.Series[str]"
) -> Bools:
    """Return where exports name an annotation's annotator by number in one, by address in another.

    Label Studio's CSV has the address, its JSON the number; an annotation has one annotator. Pseudonyms do not
    say which of the two they stand for.
    """
    ours = review_id.astype("str").str.startswith(LABEL_STUDIO_IDS, na=False).to_numpy(bool)
    address = [
        who.astype("str").str.contains("@", regex=False, na=False).to_numpy(bool)
        for who in (one, other)
    ]
    hidden = is_pseudonym(one).to_numpy(bool) | is_pseudonym(other).to_numpy(bool)
    return np.asarray(ours & ((address[0] != address[1]) | hidden), dtype=bool)
