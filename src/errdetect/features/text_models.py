"""Linear text models of P(the content violates), in any language.

Several models use different views of a text (characters, words, words with case, words combined with
the row's tags; one model per side of the decision; three losses), because their disagreement is as
informative as each of them. Training rows are scored out of fold, and folds never separate identical
or near-identical content: in-sample scores would be far too good.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from errdetect.features.ngram_counts import BITS, View, clean_texts, count_ngrams, split_words
from errdetect.features.text_fits import LinearFit, fit_all

__all__ = [
    "MEASURE_COLUMNS",
    "RECIPES",
    "RIDGE",
    "TEXT_COLUMNS",
    "TextCounts",
    "TextModel",
    "TextModelRecipe",
    "count_texts",
    "fit_text_models",
    "spread_recipes",
    "tag_hashes",
    "text_statistics",
    "tfidf_rows",
]


Floats = npt.NDArray[np.float64]

_SHARES = {
    "text_upper_share": r"[A-ZÀ-ÖØ-ÞĀ-Ž\u0391-\u03a9\u0410-\u042f]",
    "text_digit_share": r"\d",
    "text_sign_share": r"[^\w\s]",
    "text_latin_share": r"[A-Za-z]",
}
_INK, _INLINE = len(_SHARES), len(_SHARES) + 1  # bits: no white space, no line break
_LONG = 4  # equal characters in a row
#: Names of the columns that `text_statistics` returns.
MEASURE_COLUMNS = ("text_chars", "text_words", *_SHARES, "text_links", "text_repeats")


def text_statistics(texts: pd.Series) -> npt.NDArray[np.float64]:
    """Compute text statistics; NaN where there is no text.

    Parameters
    ----------
    texts
        Shape (n,); missing values allowed.

    Returns
    -------
    numpy.ndarray
        Shape (n, 8), columns as in `MEASURE_COLUMNS`: characters, words, shares of characters in
        [0, 1], and counts of links and of characters repeated four or more times in a row.

    Examples
    --------
    >>> text_statistics(pd.Series(["Buy 1!", None]))[:, :4].round(2).tolist()
    [[6.0, 2.0, 0.17, 0.17], [nan, nan, nan, nan]]
    """
    clean = texts.astype("str")
    known = clean.notna().to_numpy(bool)
    values = clean.fillna("").tolist()
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    edges = np.append(0, np.cumsum(sizes))
    points = np.frombuffer("".join(values).encode("utf-32-le", "surrogatepass"), np.uint32)
    kind = _character_kinds(points)[points]
    first = np.zeros(len(points) + 1, bool)
    first[edges[:-1]] = True  # of each text
    first = first[:-1]
    word = _has_kind(kind, _INK)
    begins = word & (first | ~np.append(False, word[:-1]))
    columns = [sizes, _count_by_text(begins, edges)]
    with np.errstate(invalid="ignore", divide="ignore"):
        columns += [
            _count_by_text(_has_kind(kind, bit), edges) / sizes for bit in range(len(_SHARES))
        ]
    columns += [
        clean.fillna("").str.count(r"https?://|www\.").to_numpy(np.float64),
        _count_by_text(_long_runs(points, first) & _has_kind(kind, _INLINE), edges),
    ]
    out = np.column_stack(columns).astype(np.float64)
    out[~known] = np.nan
    return out


def _character_kinds(points: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Return by code point, for those that occur, which patterns match it, as bits."""
    kinds = np.zeros(0x110000, np.uint8)
    patterns = [re.compile(pattern) for pattern in (*_SHARES.values(), r"\S", ".")]
    for point in np.flatnonzero(np.bincount(points)).tolist():
        matches = (pattern.match(chr(point)) is not None for pattern in patterns)
        kinds[point] = sum(yes << bit for bit, yes in enumerate(matches))
    return kinds


def _has_kind(kind: npt.NDArray[np.uint8], bit: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (kind & np.uint8(1 << bit)) != 0
    return found


def _long_runs(
    points: npt.NDArray[np.uint32], first: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return where a character begins a run of four or more of its kind within its text."""
    starts = np.flatnonzero(first | np.append(True, points[1:] != points[:-1])[: len(points)])
    out = np.zeros(len(points), bool)
    out[starts[np.diff(np.append(starts, len(points))) >= _LONG]] = True
    return out


def _count_by_text(
    where: npt.NDArray[np.bool_], edges: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    before = np.append(0, np.cumsum(where))
    counts: Floats = (before[edges[1:]] - before[edges[:-1]]).astype(np.float64)
    return counts


I64 = npt.NDArray[np.int64]
Rows = npt.NDArray[Any]

_VIEWS: tuple[View, ...] = ("char", "word", "cased", "tagged")
_MIN_TEXTS = 2  # an n-gram of a single text does not generalise


@dataclass(frozen=True)
class TextModelRecipe:
    """The specification of one text model.

    Parameters
    ----------
    name, view
        Its name, and its view of the text.
    loss
        `logistic`, or `squared` (ridge regression on -1 and 1).
    strength
        Weight of the labels against the penalty.
    bayes
        Whether n-grams are weighted by their naive Bayes log-ratio (Wang and Manning 2012).
    sides
        Whether enforced and allowed decisions have separate models.
    """

    name: str
    view: View
    loss: Literal["logistic", "squared"] = "logistic"
    strength: float = 1.0
    bayes: bool = False
    sides: bool = False


RECIPES: tuple[TextModelRecipe, ...] = (
    TextModelRecipe("char", "char", strength=2.0),
    TextModelRecipe("ridge", "char", "squared", strength=0.3),
    TextModelRecipe("bayes", "char", strength=4.0, bayes=True),
    TextModelRecipe("side", "char", "squared", strength=0.3, sides=True),
    TextModelRecipe("word", "word", strength=2.0),
    TextModelRecipe("words", "word", strength=4.0, bayes=True),
    TextModelRecipe("cased", "cased", "squared", strength=0.3),
    TextModelRecipe("tagged", "tagged", strength=4.0, bayes=True),
)
#: The fastest recipe to fit.
RIDGE = RECIPES[1]
#: Names of the columns of `TextModel.logits` with all recipes.
TEXT_COLUMNS = tuple(f"text_{recipe.name}_logit" for recipe in RECIPES)


@dataclass(frozen=True)
class TextCounts:
    """N-gram counts of decisions' texts, computed once for any subset of rows.

    Parameters
    ----------
    present
        Shape (n,), whether the row has a text.
    enforced
        Shape (n,), the decision's side.
    counts
        By view: shape (n, 2**20).
    """

    present: npt.NDArray[np.bool_]
    enforced: npt.NDArray[np.bool_]
    counts: Mapping[View, sparse.csr_matrix]

    def take(self, rows: Rows) -> "TextCounts":
        """Return the rows that a mask or positions choose."""
        counts = {view: X[rows] for view, X in self.counts.items()}
        return TextCounts(self.present[rows], self.enforced[rows], counts)


def count_texts(
    decisions: pd.DataFrame, tags: Sequence[str], views: Sequence[View] = _VIEWS
) -> TextCounts:
    """Count the n-grams of decisions' texts, in every view or in some.

    Parameters
    ----------
    decisions
        Shape (n, any), with `enforced`; without `text` no row has one.
    tags
        Columns whose values the tagged view combines with the words; absent ones count as missing.
    views
        The views to count in.

    Examples
    --------
    >>> counts = count_texts(pd.DataFrame({"text": ["red shoe", None], "enforced": False}), [])
    >>> counts.present.tolist(), counts.counts["word"].sum(axis=1).ravel().tolist()
    ([True, False], [[3.0, 0.0]])
    """
    texts = (
        decisions["text"]
        if "text" in decisions
        else pd.Series([None] * len(decisions), dtype="str")
    )
    clean = clean_texts(texts)
    hashes = tag_hashes(decisions, tags)
    lower = split_words(clean.str.lower())
    counts = {
        v: count_ngrams(clean if v == "cased" else lower, v, hashes if v == "tagged" else None)
        for v in views
    }
    enforced = decisions["enforced"].to_numpy(bool)
    return TextCounts((clean != "").to_numpy(bool), enforced, counts)


def tag_hashes(decisions: pd.DataFrame, tags: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Hash each row's tags, shape (n, tags); absent columns count as missing.

    Examples
    --------
    >>> hashes = tag_hashes(pd.DataFrame({"market": ["DE", "FR", "DE"]}), ["market"])
    >>> hashes.shape, bool(hashes[0, 0] == hashes[2, 0] != hashes[1, 0])
    ((3, 1), True)
    """
    n = len(decisions)
    hashes = np.zeros((n, len(tags)), np.uint64)
    for j, name in enumerate(tags):
        values = decisions[name].astype("str").fillna("") if name in decisions else [""] * n
        named = pd.Series(values, dtype="object").map(lambda value, name=name: f"{name}={value}")
        hashes[:, j] = pd.util.hash_array(named.to_numpy(object), categorize=True)
    return hashes


@dataclass(frozen=True)
class TextModel:
    """Fitted linear models of P(violates), one per recipe and side.

    Parameters
    ----------
    tags
        Columns that the tagged view uses.
    columns
        By view: which of the 2**20 hashed n-grams are used, ascending, shape (p,).
    idf
        By view: their inverse document frequencies, shape (p,).
    slopes
        By recipe: weights in log-odds, shape (1 or 2, p); the second is for enforced decisions.
    intercepts
        By recipe: shape (1 or 2,).
    """

    tags: tuple[str, ...]
    columns: Mapping[View, npt.NDArray[np.int32]]
    idf: Mapping[View, npt.NDArray[np.float32]]
    slopes: Mapping[str, npt.NDArray[np.float32]]
    intercepts: Mapping[str, Floats]

    def logits(self, decisions: pd.DataFrame) -> Floats:
        """Return log-odds that the content violates; NaN without text.

        Parameters
        ----------
        decisions
            Shape (n, any), with `enforced`.

        Returns
        -------
        numpy.ndarray
            Shape (n, recipes); of all recipes columns as in `TEXT_COLUMNS`.

        Examples
        --------
        >>> frame = pd.DataFrame({"text": ["sell gun", "red shoe"] * 20, "enforced": False})
        >>> y = np.array([1.0, 0.0] * 20)
        >>> model, _ = fit_text_models(count_texts(frame, []), y, np.ones(40), np.arange(40) % 2, seed=0)
        >>> logits = model.logits(pd.DataFrame({"text": ["gun", "shoe", None], "enforced": False}))
        >>> bool(logits[0, 0] > logits[1, 0]), bool(np.isnan(logits[2, 0]))
        (True, True)
        """
        return self.read(count_texts(decisions, self.tags))

    @property
    def recipes(self) -> tuple[TextModelRecipe, ...]:
        """The fitted recipes, in the order of `RECIPES`."""
        return tuple(recipe for recipe in RECIPES if recipe.name in self.slopes)

    @property
    def views(self) -> tuple[View, ...]:
        """The views that the fitted recipes need."""
        return tuple(dict.fromkeys(recipe.view for recipe in self.recipes))

    def only(self, recipes: Sequence[TextModelRecipe]) -> "TextModel":
        """Return the model with some of its recipes."""
        names, views = [r.name for r in recipes], {r.view for r in recipes}
        return TextModel(
            self.tags,
            {view: value for view, value in self.columns.items() if view in views},
            {view: value for view, value in self.idf.items() if view in views},
            {name: self.slopes[name] for name in names},
            {name: self.intercepts[name] for name in names},
        )

    def read_every(self, counts: TextCounts) -> Floats:
        """Return log-odds of all recipes, NaN for those not fitted; columns as in `TEXT_COLUMNS`."""
        return spread_recipes(self.read(counts), self.recipes)

    def read(self, counts: TextCounts) -> Floats:
        """Return the log-odds of the fitted recipes from counted texts."""
        recipes = self.recipes
        out = np.full((len(counts.present), len(recipes)), np.nan)
        for view, slopes in self._view_slopes.items():
            X = tfidf_rows(counts.counts[view][:, self.columns[view]], self.idf[view])
            found, start = X @ slopes, 0
            for j, recipe in enumerate(recipes):
                if recipe.view == view:
                    stop = start + len(self.slopes[recipe.name])
                    every = found[:, start:stop] + self.intercepts[recipe.name]
                    out[:, j] = np.where(counts.enforced & recipe.sides, every[:, -1], every[:, 0])
                    start = stop
        out[~counts.present] = np.nan
        return out

    @cached_property
    def _view_slopes(self) -> Mapping[View, Floats]:
        """All slopes of each view, shape (p, models), recipe by recipe."""
        by_view: dict[View, list[Floats]] = {}
        for recipe in RECIPES:
            if recipe.name in self.slopes:
                own = self.slopes[recipe.name].astype(np.float64)
                by_view.setdefault(recipe.view, []).append(own)
        return {view: np.ascontiguousarray(np.vstack(s).T) for view, s in by_view.items()}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fitted state as plain arrays, to be stored without pickle."""
        out: dict[str, npt.NDArray[Any]] = {"tags": np.array(self.tags, dtype=np.str_)}
        out |= {f"columns_{view}": value for view, value in self.columns.items()}
        out |= {f"idf_{view}": value for view, value in self.idf.items()}
        out |= {f"slopes_{name}": value for name, value in self.slopes.items()}
        out |= {f"intercepts_{name}": value for name, value in self.intercepts.items()}
        return out

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "TextModel":
        """Build the model from the result of `arrays`.

        Raises
        ------
        KeyError
            Where an array is missing.
        """
        names = [r.name for r in RECIPES if f"slopes_{r.name}" in arrays]
        views = [view for view in _VIEWS if f"columns_{view}" in arrays]
        return cls(
            tuple(str(tag) for tag in arrays["tags"]),
            {view: arrays[f"columns_{view}"] for view in views},
            {view: arrays[f"idf_{view}"] for view in views},
            {name: arrays[f"slopes_{name}"] for name in names},
            {name: arrays[f"intercepts_{name}"] for name in names},
        )


def spread_recipes(logits: Floats, recipes: Sequence[TextModelRecipe]) -> Floats:
    """Place some recipes' log-odds in the columns of all, shape (n, 8); NaN for the others.

    Examples
    --------
    >>> spread_recipes(np.array([[0.5]]), [RIDGE])[0, :3].tolist()
    [nan, 0.5, nan]
    """
    out = np.full((len(logits), len(RECIPES)), np.nan)
    out[:, [RECIPES.index(recipe) for recipe in recipes]] = logits
    return out


def fit_text_models(
    counts: TextCounts,
    violates: Floats,
    weight: Floats,
    fold: I64,
    *,
    tags: Sequence[str] = (),
    recipes: Sequence[TextModelRecipe] = RECIPES,
    seed: int,
    processes: int = 1,
) -> tuple[TextModel, Floats]:
    """Fit the text models, and score the training rows out of fold.

    Parameters
    ----------
    counts
        Shape (n,); rows without text are left out of the fit.
    violates
        Shape (n,), the label as P(the content violates): 1, 0, or between where uncertain.
    weight
        Shape (n,), weight of each row's label, at least 0.
    fold
        Shape (n,), each row's fold; near-identical content must share one.
    tags
        The columns used by the counts' tagged view.
    recipes
        Some of `RECIPES`, in their order; the counts must include their views.
    seed
        Seed of the solver.
    processes
        How many may share the fits; results don't depend on it.

    Returns
    -------
    tuple
        The model fitted on every row, and out-of-fold log-odds, shape (n, recipes).
    """
    rows = np.flatnonzero(counts.present)
    some = counts.take(rows)
    y, w, fold = violates[rows], weight[rows], fold[rows]
    folds = int(fold.max()) + 1 if len(fold) else 0
    out = np.full((len(counts.present), len(recipes)), np.nan)
    columns: dict[View, npt.NDArray[np.int32]] = {}
    idf: dict[View, npt.NDArray[np.float32]] = {}
    slopes: dict[str, list[npt.NDArray[np.float32]]] = {}
    intercepts: dict[str, list[float]] = {}
    for view in dict.fromkeys(recipe.view for recipe in recipes):
        columns[view], idf[view] = _select_ngrams(some.counts[view])
        X = tfidf_rows(some.counts[view][:, columns[view]], idf[view])
        held = [*(fold == k for k in range(folds)), np.zeros(len(rows), bool)]  # none: on all rows
        parts = [
            (j, recipe, out_of, np.ones(len(rows), bool) if side is None else some.enforced == side)
            for j, recipe in enumerate(recipes)
            if recipe.view == view
            for side in ((False, True) if recipe.sides else (None,))
            for out_of in held
        ]
        fits = [
            LinearFit(np.flatnonzero(mine & ~out_of), recipe.loss, recipe.strength, recipe.bayes)
            for _, recipe, out_of, mine in parts
        ]
        found = fit_all(X, y, w, fits, seed=seed, processes=processes)
        for (j, recipe, out_of, mine), (slope, start) in zip(parts, found, strict=True):
            if out_of.any():
                out[rows[mine & out_of], j] = X[np.flatnonzero(mine & out_of)] @ slope + start
            elif out_of is held[-1]:
                slopes.setdefault(recipe.name, []).append(slope.astype(np.float32))
                intercepts.setdefault(recipe.name, []).append(start)
    model = TextModel(
        tuple(tags),
        columns,
        idf,
        {name: np.stack(value) for name, value in slopes.items()},
        {name: np.array(value) for name, value in intercepts.items()},
    )
    return model, out


def _select_ngrams(
    counts: sparse.csr_matrix,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Choose the n-grams of at least two texts, and their inverse document frequencies."""
    seen = np.bincount(counts.indices, minlength=2**BITS)
    columns = np.flatnonzero(seen >= _MIN_TEXTS).astype(np.int32)
    idf = np.log((1 + counts.shape[0]) / (1 + seen[columns])) + 1
    return columns, idf.astype(np.float32)


def tfidf_rows(counts: sparse.csr_matrix, idf: npt.NDArray[np.float32]) -> sparse.csr_matrix:
    """TF-IDF with logarithmic counts and rows of length 1.

    Examples
    --------
    >>> tfidf_rows(sparse.csr_matrix([[1.0, 0.0]]), np.array([2.0, 1.0], np.float32)).toarray().tolist()
    [[1.0, 0.0]]
    """
    X = counts.copy()
    X.data = (np.log(X.data) + 1) * idf[X.indices]
    squares = sparse.csr_matrix((X.data * X.data, X.indices, X.indptr), shape=X.shape)
    norm = np.sqrt(np.asarray(squares.sum(axis=1)).ravel())
    scale = (1 / np.where(norm > 0, norm, 1)).astype(np.float32)
    X.data *= np.repeat(scale, np.diff(X.indptr))
    return X
