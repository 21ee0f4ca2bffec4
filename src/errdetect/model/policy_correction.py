"""Policy correction: enforcements with a correct action but probably the wrong policy.

The content's evidence for each policy (naive Bayes over hashed words, characters and columns, one
policy against the rest) is combined with how often reviewers corrected each policy into another:
P(correct policy = k | content, decided j) is proportional to P(k | j) x evidence(k)^trust. Every
row's evidence comes from a model that has not seen its content, in training and in scoring, so that
no decision supports its own policy.

Source: Rennie et al. 2003 (naive Bayes against the complement); Northcutt et al. 2021 (noisy labels
as a transition between classes).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.optimize import minimize
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import HashingVectorizer

from errdetect.features.feature_matrix import fit_encoding
from errdetect.features.ngram_counts import TextWords, split_words
from errdetect.stats.group_sums import quantile_edges

__all__ = [
    "MIN_RELABELLED",
    "PolicyContent",
    "PolicyCorrection",
    "PolicyTokens",
    "content_folds",
    "count_corrected",
    "fit_policy_correction",
    "load_policy_correction",
]

_TEXT_BITS, _COLUMN_BITS = 15, 12
_MAX_CHARS = 2_000
_BINS = 10
_WORD = re.compile(r"(?u)\b\w+\b")
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Relabelled decisions with a known correct policy needed to fit the model.
MIN_RELABELLED = 20
_FOLDS = 3
_MAX_POLICIES = 100  # the most frequent policies; others get no suggestion
_MAX_REVIEWED, _MAX_UNREVIEWED = 30_000, 20_000  # the latest; more would not fit into memory
_SMOOTHING = (0.01, 0.1, 1.0)
_UNREVIEWED = (0.0, 0.3)  # weights of unreviewed decisions, assuming that their policy is correct
_PRIOR = 5.0  # reviews after which a policy's own corrections count as much as all policies'
_MACHINE = ("policy_id", "action", "moderator", "moderator_version")


@dataclass(frozen=True)
class PolicyContent:
    """Decisions' content, hashed once for any number of models.

    Parameters
    ----------
    folds
        Shape (n,), from `content_folds`.
    texts
        Hashed n-grams of the texts, of characters and of words, shape (n, 2**15) each.
    """

    folds: npt.NDArray[np.int64]
    texts: tuple[sparse.csr_matrix, ...]

    @classmethod
    def of(cls, decisions: pd.DataFrame) -> "PolicyContent":
        """Hash decisions' content.

        Examples
        --------
        >>> content = PolicyContent.of(pd.DataFrame({"text": ["red shoe", "Red  shoe", None]}))
        >>> [block.getnnz(axis=1).tolist() for block in content.texts]
        [[24, 24, 0], [3, 3, 0]]
        """
        texts = _normalised_texts(decisions)
        split = split_words(texts)
        return cls(
            content_folds(decisions, _FOLDS, texts),
            (_hash_characters(split), _hash_words(split)),
        )

    def take(self, rows: npt.NDArray[np.int64]) -> "PolicyContent":
        """Return the rows at these positions."""
        return PolicyContent(self.folds[rows], tuple(block[rows] for block in self.texts))


@dataclass(frozen=True)
class PolicyTokens:
    """The conversion of decisions to rows of hashed evidence.

    Parameters
    ----------
    categorical
        Columns used as they are.
    edges
        Numeric column -> the edges of its bins.
    text
        Whether the text is used.
    idf
        Inverse document frequency of each hash, shape (size,).
    """

    categorical: tuple[str, ...]
    edges: Mapping[str, tuple[float, ...]]
    text: bool
    idf: npt.NDArray[np.float32]

    @classmethod
    def learn(
        cls,
        decisions: pd.DataFrame,
        categorical: Sequence[str],
        numeric: Sequence[str],
        text: bool,
    ) -> "tuple[PolicyTokens, sparse.csr_matrix]":
        """Learn bins and frequencies from decisions, and return their rows too.

        Examples
        --------
        >>> frame = pd.DataFrame({"text": ["red shoe", "blue hat"], "category": ["a", "b"]})
        >>> tokens, X = PolicyTokens.learn(frame, ["category"], [], True)
        >>> X.shape == (2, len(tokens.idf)), (tokens.token_matrix(frame) != X).nnz
        (True, 0)
        """
        edges = {name: _bin_edges(decisions[name]) for name in numeric}
        bare = cls(tuple(categorical), edges, text, np.empty(0, dtype=np.float32))
        blocks = bare._blocks(decisions, None)
        seen = np.concatenate([np.asarray((b > 0).sum(axis=0)).ravel() for b in blocks])
        idf = (np.log((1 + len(decisions)) / (1 + seen)) + 1).astype(np.float32)
        tokens = cls(bare.categorical, edges, text, idf)
        return tokens, tokens._tfidf_rows(blocks)

    def token_matrix(
        self, decisions: pd.DataFrame, content: PolicyContent | None = None
    ) -> sparse.csr_matrix:
        """Return rows of evidence, shape (n, size); missing columns add none.

        `content` is that of the decisions, if it was hashed already.
        """
        return self._tfidf_rows(self._blocks(decisions, content))

    def _blocks(
        self, decisions: pd.DataFrame, content: PolicyContent | None
    ) -> list[sparse.csr_matrix]:
        blocks = [_hash_columns(decisions, self.categorical, self.edges)]
        if self.text:
            blocks += (content or PolicyContent.of(decisions)).texts
        return blocks

    def _tfidf_rows(self, blocks: list[sparse.csr_matrix]) -> sparse.csr_matrix:
        """Weight hashes by rarity; each block's rows have length 1, so that none dominates."""
        out, start = [], 0
        for block in blocks:
            data = self.idf[start : start + block.shape[1]].astype(np.float64)[block.indices]
            X = sparse.csr_matrix((data, block.indices, block.indptr), shape=block.shape)
            squares = sparse.csr_matrix((data * data, block.indices, block.indptr), block.shape)
            norm = np.sqrt(np.asarray(squares.sum(axis=1)).ravel())
            X.data *= np.repeat(1 / np.where(norm > 0, norm, 1), np.diff(X.indptr))
            out.append(X)
            start += block.shape[1]
        return sparse.hstack(out, format="csr")


def content_folds(
    decisions: pd.DataFrame, folds: int, texts: "pd.Series[str] | None" = None
) -> npt.NDArray[np.int64]:
    """Assign identical content (ignoring case and white space) to one fold, on every machine.

    Parameters
    ----------
    decisions
        Shape (n, any); without text, the item identifies the content.
    folds
        Number of folds, at least 1.
    texts
        The decisions' normalised texts, if there already.

    Examples
    --------
    >>> frame = pd.DataFrame({"text": ["A b", "a  B"], "item_id": ["1", "2"]})
    >>> len(set(content_folds(frame, 3).tolist()))
    1
    """
    texts = (_normalised_texts(decisions) if texts is None else texts).str.lower()
    items = decisions["item_id"].astype("str").fillna("") if "item_id" in decisions else ""
    content = texts.where(texts != "", items).to_numpy(object)
    return (pd.util.hash_array(content, categorize=False) % np.uint64(folds)).astype(np.int64)


def _normalised_texts(decisions: pd.DataFrame) -> "pd.Series[str]":
    if "text" not in decisions:
        return pd.Series([""] * len(decisions), index=decisions.index, dtype="str")
    texts = decisions["text"].astype("str").fillna("").str.slice(0, _MAX_CHARS)
    return texts.str.replace(r"\s+", " ", regex=True).str.strip()


def _bin_edges(values: "pd.Series[Any]") -> tuple[float, ...]:
    numbers = values.astype("float64").to_numpy(np.float64, na_value=np.nan)
    return tuple(quantile_edges(np.asarray(numbers, np.float64), _BINS).tolist())


def _hash_columns(
    decisions: pd.DataFrame, categorical: Sequence[str], edges: Mapping[str, tuple[float, ...]]
) -> sparse.csr_matrix:
    """Hash each row's tokens `column=value`; missing values give none."""
    columns: list[tuple[Ints, list[str]]] = []
    for name in categorical:
        if name in decisions:
            code, values = pd.factorize(decisions[name].astype("str"))
            columns.append((code.astype(np.int64), [f"{name}={value}" for value in values]))
    for name, inner in edges.items():
        if name in decisions:
            numbers = decisions[name].astype("float64").to_numpy(np.float64, na_value=np.nan)
            bins = np.searchsorted(inner, numbers, side="right")
            code = np.where(np.isfinite(numbers), bins, -1).astype(np.int64)
            columns.append((code, [f"{name}#{b}" for b in range(len(inner) + 1)]))
    rows, hashed = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for code, tokens in columns:
        known = np.flatnonzero(code >= 0)
        rows.append(known)
        hashed.append(_hash_strings(tokens, _COLUMN_BITS)[code[known]])
    return _binary_rows(
        np.concatenate(rows), np.concatenate(hashed), (len(decisions), 2**_COLUMN_BITS)
    )


def _hash_characters(split: TextWords) -> sparse.csr_matrix:
    """Hash texts' n-grams of 2 to 5 characters within words, each distinct word once."""
    if not split.words:
        return sparse.csr_matrix((split.n, 2**_TEXT_BITS))
    hashing = HashingVectorizer(
        n_features=2**_TEXT_BITS, norm=None, alternate_sign=False, binary=True,
        analyzer="char_wb", ngram_range=(2, 5),
    )  # fmt: skip
    rows = split.occurrences.astype(np.float64) @ hashing.transform(split.words)
    rows.sort_indices()
    rows.data.fill(1)
    return rows


def _hash_words(split: TextWords) -> sparse.csr_matrix:
    """Hash texts' words of letters, digits and underscores, and pairs of these."""
    parts = [_WORD.findall(word.lower()) for word in split.words]
    size = np.fromiter(map(len, parts), np.int64, len(parts))
    code, words = pd.factorize(np.array([part for some in parts for part in some], object))
    rows, part = split.spread(size)
    own = code.astype(np.int64)[part]
    together = rows[1:] == rows[:-1]
    pair = (own[:-1] * len(words) + own[1:])[together]
    pair_code, pairs = pd.factorize(pair)
    both = (
        [f"{words[a]} {words[b]}" for a, b in zip(*divmod(pairs, len(words)), strict=True)]
        if len(pairs)
        else []
    )
    hashed = np.append(
        _hash_strings(list(words), _TEXT_BITS)[own], _hash_strings(both, _TEXT_BITS)[pair_code]
    )
    return _binary_rows(np.append(rows, rows[1:][together]), hashed, (split.n, 2**_TEXT_BITS))


def _hash_strings(strings: Sequence[str], bits: int) -> Ints:
    """Return each string's column, as scikit-learn hashes it, shape (n,)."""
    if not strings:
        return np.empty(0, np.int64)
    hasher = FeatureHasher(n_features=2**bits, input_type="string", alternate_sign=False)
    return np.asarray(hasher.transform([one] for one in strings).indices, np.int64)


def _binary_rows(rows: Ints, columns: Ints, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return a matrix that is 1 at these places, with sorted columns."""
    key = np.unique(rows * shape[1] + columns)
    indptr = np.searchsorted(key, np.arange(shape[0] + 1) * shape[1])
    return sparse.csr_matrix((np.ones(len(key)), key % shape[1], indptr), shape=shape)


@dataclass(frozen=True)
class PolicyCorrection:
    """A fitted model of the correct policy.

    Parameters
    ----------
    policies
        The K policies that it knows, sorted.
    tokens
        The conversion of decisions to evidence.
    weight
        Evidence for each policy against the rest, shape (folds, K, tokens.size).
    log_prior
        Log P(correct policy | decided policy), shape (K, K).
    trust, shift
        Exponent of the evidence, and shift in the log-odds of every other policy.
    n_relabelled
        Number of relabelled decisions in training.
    """

    policies: tuple[str, ...]
    tokens: PolicyTokens
    weight: npt.NDArray[np.float32]
    log_prior: Floats
    trust: float
    shift: float
    n_relabelled: int

    def policy_posterior(
        self, decisions: pd.DataFrame, content: PolicyContent | None = None
    ) -> tuple[Floats, Ints]:
        """Return P(correct policy), shape (n, K), and each decision's policy number.

        Rows whose policy is unknown here (number -1) are NaN. `content` is that of the decisions,
        if it was hashed already.
        """
        own = _policy_codes(decisions["policy_id"], self.policies)
        out = np.full((len(decisions), len(self.policies)), np.nan)
        known = np.flatnonzero(own >= 0)
        if len(known):
            rows = decisions.iloc[known]
            own_content = PolicyContent.of(rows) if content is None else content.take(known)
            X = self.tokens.token_matrix(rows, own_content)
            evidence = _out_of_fold_evidence(X, own_content.folds, self._slopes)
            out[known] = np.exp(
                _log_posterior(evidence, own[known], self.log_prior, self.trust, self.shift)
            )
        return out, own

    @cached_property
    def _slopes(self) -> Floats:
        return self.weight.astype(np.float64)

    def predict(
        self, decisions: pd.DataFrame, p_error: Floats, content: PolicyContent | None = None
    ) -> pd.DataFrame:
        """Predict P(wrong policy, correct action) of each decision, and the policy that fits better.

        Parameters
        ----------
        decisions
            Shape (n, any), with `policy_id` and the bool `enforced`.
        p_error
            Shape (n,), calibrated P(any error): P(wrong label) never exceeds it.
        content
            Content of the enforced ones, in order, if it was hashed already.

        Returns
        -------
        pandas.DataFrame
            p_wrong_label (NaN where unknown: allowed decisions, policies it does not know),
            likeliest_policy_id (the most probable other policy; missing where unknown) and
            suggested_policy_id (the same, only where a wrong label is more probable than a wrong
            action), indexed like `decisions`.
        """
        n = len(decisions)
        wrong, best = np.full(n, np.nan), np.full(n, None, dtype=object)
        rows = np.flatnonzero(decisions["enforced"].to_numpy(bool))
        q, own = self.policy_posterior(decisions.iloc[rows], content)
        known = np.flatnonzero(own >= 0)
        if len(known) and len(self.policies) > 1:
            q, own, rows = q[known], own[known], rows[known]
            wrong[rows] = _wrong_label_probability(1 - q[np.arange(len(own)), own], p_error[rows])
            q[np.arange(len(own)), own] = -1
            best[rows] = np.array(self.policies, dtype=object)[q.argmax(axis=1)]
        likeliest = pd.Series(best, index=decisions.index, dtype="str")
        with np.errstate(invalid="ignore"):
            suggested = likeliest.where(wrong > p_error - wrong)
        return pd.DataFrame(
            {
                "p_wrong_label": wrong,
                "likeliest_policy_id": likeliest,
                "suggested_policy_id": suggested,
            }
        )

    def usual(self, policy_id: "pd.Series[Any]") -> "pd.Series[Any]":
        """Return each policy's most frequent correction, whatever the content.

        Ties go to the first by name; a policy that is unknown here has none.
        """
        rows = self.log_prior.copy()
        np.fill_diagonal(rows, -np.inf)
        best = np.array([*(self.policies[k] for k in rows.argmax(axis=1)), None], dtype=object)
        own = _policy_codes(policy_id, self.policies)
        return pd.Series(best[own], index=policy_id.index, dtype="str")

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fitted arrays, to be stored without pickle."""
        return {"weight": self.weight, "log_prior": self.log_prior, "idf": self.tokens.idf}

    def facts(self) -> dict[str, Any]:
        """Return everything else, as JSON-compatible values."""
        return {
            "policies": list(self.policies),
            "categorical": list(self.tokens.categorical),
            "edges": {name: list(edges) for name, edges in self.tokens.edges.items()},
            "text": self.tokens.text,
            "trust": self.trust,
            "shift": self.shift,
            "n_relabelled": self.n_relabelled,
        }


def load_policy_correction(
    facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> PolicyCorrection:
    """Build the model from `facts` and `arrays`."""
    edges = {name: tuple(values) for name, values in facts["edges"].items()}
    tokens = PolicyTokens(tuple(facts["categorical"]), edges, facts["text"], arrays["idf"])
    return PolicyCorrection(
        tuple(facts["policies"]),
        tokens,
        arrays["weight"],
        arrays["log_prior"],
        facts["trust"],
        facts["shift"],
        facts["n_relabelled"],
    )


def fit_policy_correction(
    decisions: pd.DataFrame,
    right_policy: "pd.Series[Any]",
    judged: npt.NDArray[np.bool_],
    *,
    leave_out: Sequence[str] = (),
    text: bool = True,
    min_relabelled: int = MIN_RELABELLED,
) -> PolicyCorrection | None:
    """Fit which policy content falls under, and how policies are confused.

    Parameters
    ----------
    decisions
        n decisions in order of time, reviewed or not, with `policy_id` and the bool `enforced`.
        Only enforced ones are used, at most the latest 30,000 with a correct policy.
    right_policy
        Shape (n,), from `find_correct_policies`; missing where unknown.
    judged
        Shape (n,), whether people reviewed the decision. Unreviewed decisions may count, with less
        weight, as if their policy were correct, if that helps to predict reviewers' verdicts.
    leave_out, text
        As for `fit_encoding`.
    min_relabelled
        Relabelled decisions needed, at least 1.

    Returns
    -------
    PolicyCorrection or None
        None where too few were relabelled.

    Examples
    --------
    >>> frame = pd.DataFrame({
    ...     "policy_id": "scam", "enforced": True, "item_id": [str(i) for i in range(80)],
    ...     "text": [f"win money {i}" if i % 4 else f"cheap pills {i}" for i in range(80)]})
    >>> right = pd.Series(["scam" if i % 4 else "medicines" for i in range(80)])
    >>> model = fit_policy_correction(frame, right, np.ones(80, dtype=bool))
    >>> new = frame.head(2).assign(text=["pills for you", "more money"])
    >>> model.predict(new, np.array([0.5, 0.5]))["suggested_policy_id"].tolist()
    ['medicines', nan]
    """
    own_name = decisions["policy_id"].astype("str")
    taught = _training_rows(decisions, right_policy)
    n_relabelled = count_corrected(decisions, right_policy)
    if n_relabelled < min_relabelled:
        return None
    free = np.flatnonzero(~judged & decisions["enforced"].to_numpy(bool))[-_MAX_UNREVIEWED:]
    rows = np.concatenate([taught, free])
    named = pd.concat([right_policy.iloc[taught], own_name.iloc[free]])
    policies = _known_policies(own_name.iloc[rows], right_policy.iloc[taught])
    right, own = _policy_codes(named, policies), _policy_codes(own_name.iloc[rows], policies)
    usable = (right >= 0) & (own >= 0)
    reviewed = (np.arange(len(rows)) < len(taught))[usable]
    rows, right, own = rows[usable], right[usable], own[usable]
    frame = decisions.iloc[rows]
    encoding = fit_encoding(frame, leave_out=leave_out, text=text)
    categorical = tuple(name for name in encoding.categorical if name not in _MACHINE)
    tokens, X = PolicyTokens.learn(frame, categorical, encoding.numeric, encoding.text)
    prior = _log_prior(own[reviewed], right[reviewed], len(policies))
    best = _choose_settings(X, content_folds(frame, _FOLDS), own, right, reviewed, prior)
    return PolicyCorrection(policies, tokens, best[1], prior, *best[2:], n_relabelled)


def count_corrected(decisions: pd.DataFrame, right_policy: "pd.Series[Any]") -> int:
    """Count the relabelled decisions that `fit_policy_correction` would use.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["scam"] * 3, "enforced": True})
    >>> count_corrected(frame, pd.Series(["scam", "spam", None], dtype="str"))
    1
    """
    taught = _training_rows(decisions, right_policy)
    own = decisions["policy_id"].astype("str").iloc[taught]
    return int((right_policy.iloc[taught].to_numpy(object) != own.to_numpy(object)).sum())


def _training_rows(decisions: pd.DataFrame, right_policy: "pd.Series[Any]") -> Ints:
    """Return the rows of the latest enforcements with a known correct policy."""
    known = right_policy.notna().to_numpy(bool) & decisions["enforced"].to_numpy(bool)
    return np.flatnonzero(known)[-_MAX_REVIEWED:]


def _choose_settings(
    X: sparse.csr_matrix,
    fold: Ints,
    own: Ints,
    right: Ints,
    reviewed: npt.NDArray[np.bool_],
    prior: Floats,
) -> tuple[float, npt.NDArray[np.float32], float, float]:
    """Fit with each setting; keep the one that best predicts reviewers' verdicts on unseen content.

    Returns the loss per review, the evidence's weights, trust and shift; ties go to the first.
    """
    best: tuple[float, npt.NDArray[np.float32], float, float] | None = None
    for share in _UNREVIEWED:
        weights = np.where(reviewed, 1.0, share)
        for smoothing in _SMOOTHING:
            found = _naive_bayes_weights(X, right, weights, fold, len(prior), smoothing)
            evidence = _out_of_fold_evidence(X[reviewed], fold[reviewed], found)
            loss, trust, shift = _fit_evidence_trust(
                evidence, own[reviewed], right[reviewed], prior
            )
            if best is None or loss < best[0]:
                best = loss, found, trust, shift
    assert best is not None
    return best


def _wrong_label_probability(doubt: Floats, p_error: Floats) -> Floats:
    """Split P(error) by P(another policy | action correct) = `doubt`.

    With w = P(wrong action): p_error = w + (1 - w) doubt, so P(wrong label) = (1 - w) doubt
    = (1 - p_error) doubt / (1 - doubt), and never more than p_error.
    """
    odds = doubt / np.maximum(1 - doubt, 1e-12)
    return np.minimum(p_error, (1 - p_error) * odds)


def _known_policies(own: "pd.Series[Any]", right: "pd.Series[Any]") -> tuple[str, ...]:
    """Return the most frequent policies; those that reviewers named come first."""
    counts = own.value_counts().add(right.value_counts() * 1e6, fill_value=0)
    kept = counts.sort_index().sort_values(ascending=False, kind="stable").head(_MAX_POLICIES)
    return tuple(sorted(str(name) for name in kept.index))


def _policy_codes(names: "pd.Series[Any]", policies: tuple[str, ...]) -> Ints:
    return np.asarray(pd.Index(policies).get_indexer(pd.Index(names.astype("str"))), dtype=np.int64)


def _naive_bayes_weights(
    X: sparse.csr_matrix, y: Ints, w: Floats, fold: Ints, k: int, smoothing: float
) -> npt.NDArray[np.float32]:
    """Fit naive Bayes, each policy against the rest, once without each fold."""
    width = X.shape[1]
    counts = np.stack(
        [_class_sums(X[fold == f], y[fold == f], w[fold == f], k) for f in range(_FOLDS)]
    )
    out = np.zeros((_FOLDS, k, width), dtype=np.float32)
    for f in range(_FOLDS):
        inside = counts.sum(axis=0) - counts[f]
        total = inside.sum(axis=0)
        background = (total + 1e-3) / (total + 1e-3).sum() * smoothing * width
        rest = total - inside
        share = (inside + background) / (inside.sum(axis=1, keepdims=True) + smoothing * width)
        others = (rest + background) / (rest.sum(axis=1, keepdims=True) + smoothing * width)
        out[f] = np.where(total > 0, np.log(share / others), 0.0)
    return out


def _class_sums(X: sparse.csr_matrix, y: Ints, w: Floats, k: int) -> Floats:
    by = sparse.csr_matrix((w, (y, np.arange(len(y)))), shape=(k, len(y)))
    return np.asarray((by @ X).toarray(), dtype=np.float64)


def _out_of_fold_evidence(
    X: sparse.csr_matrix, fold: Ints, weight: npt.NDArray[np.float32] | Floats
) -> Floats:
    """Return each row's evidence from the model that has not seen its content, shape (n, K)."""
    out = np.zeros((X.shape[0], weight.shape[1]))
    for f in range(len(weight)):
        out[fold == f] = X[fold == f] @ weight[f].T.astype(np.float64, copy=False)
    return out


def _log_posterior(
    evidence: Floats, own: Ints, prior: Floats, trust: float, shift: float
) -> Floats:
    z = prior[own] + trust * evidence + shift
    z[np.arange(len(own)), own] -= shift
    z -= z.max(axis=1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)), dtype=np.float64)


def _fit_evidence_trust(
    evidence: Floats, own: Ints, right: Ints, prior: Floats
) -> tuple[float, float, float]:
    """Fit the weight of evidence: return the loss per row, trust and shift."""
    rows = np.arange(len(own))

    def loss(at: Floats) -> float:
        posterior = _log_posterior(evidence, own, prior, float(np.exp(at[0])), float(at[1]))
        return float(-posterior[rows, right].mean()) + 1e-4 * float(at[1] ** 2)

    found = min(
        (minimize(loss, [start, 0.0], method="Nelder-Mead") for start in (-2.0, 0.0)),
        key=lambda result: float(result.fun),
    )
    return float(found.fun), float(np.exp(found.x[0])), float(found.x[1])


def _log_prior(own: Ints, right: Ints, k: int) -> Floats:
    """Return log P(correct | decided), each policy's corrections shrunk towards all policies'."""
    counts = np.zeros((k, k))
    np.add.at(counts, (own, right), 1.0)
    kept = float((np.trace(counts) + 0.5) / (counts.sum() + 1))
    all_policies = np.full((k, k), (1 - kept) / max(k - 1, 1))
    np.fill_diagonal(all_policies, kept)
    share = (counts + _PRIOR * all_policies) / (counts.sum(axis=1, keepdims=True) + _PRIOR)
    return np.asarray(np.log(share), dtype=np.float64)
