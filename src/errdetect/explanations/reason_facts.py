"""Facts of explained decisions, and the sentence of each reason."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from errdetect.explanations.fact_baselines import (
    Baseline,
    FactBaselines,
    FactSignal,
    fact_signal,
)
from errdetect.explanations.reason_templates import FORMS, TextFormats, Words, sanitize_text
from errdetect.features.feature_matrix import ReferenceDistribution
from errdetect.features.text_attribution import WordContributions

__all__ = ["PAST", "ReasonFacts", "history_code", "history_template", "reason_title"]


_RECORDS = (
    "history_account_policy",  # before history_account, which it begins with
    "history_account",
    "history_market_policy",
    "history_policy",
    "history_moderator",
)
_CHANGES, _SIMILAR = "history_changes", "similar"
_VERSION, _POLICY = "history_moderator_version_days", "history_policy_change_days"
#: The codes of these reasons.
PAST = (*_RECORDS, _CHANGES, _SIMILAR)


def history_code(name: str) -> str | None:
    """Return the reason that a feature belongs to; None where it is none of these.

    Examples
    --------
    >>> history_code("history_account_policy_errors_90d"), history_code("similar_text_days")
    ('history_account_policy', 'similar')
    >>> history_code("history_policy_change_days"), history_code("price")
    ('history_changes', None)
    """
    if name in (_VERSION, _POLICY):
        return _CHANGES
    if name.startswith(f"{_SIMILAR}_"):
        return _SIMILAR
    return next((code for code in _RECORDS if name.startswith(f"{code}_")), None)


def history_template(
    code: str, facts: Mapping[str, float], forms: TextFormats
) -> tuple[str, dict[str, str]]:
    """Return the template of such a reason, and its values.

    Parameters
    ----------
    code
        One of `PAST`.
    facts
        The decision's features by name; NaN or absent where unknown.
    forms
        How numbers are written.

    Returns
    -------
    tuple
        The template's name and its values.
    """
    if code == _SIMILAR:
        return _similar_content(facts, forms)
    if code == _CHANGES:
        days = {"version": facts.get(_VERSION, np.nan), "policy": facts.get(_POLICY, np.nan)}
        known = [name for name, value in days.items() if not np.isnan(value)]
        variant = "text" if len(known) == 2 else known[0] if known else "unknown"
        fill = {"version": days["version"], "policy_days": days["policy"]}
        return variant, {name: forms.count(v) for name, v in fill.items() if not np.isnan(v)}
    counts = {what: facts.get(f"{code}_{what}_90d", np.nan)
            for what in ("decisions", "reviewed", "errors", "complaints")}  # fmt: skip
    return _history_variant(counts), {
        n: forms.count(v) for n, v in counts.items() if not np.isnan(v)
    }


def _history_variant(counts: Mapping[str, float]) -> str:
    """Choose the variant of a record: the least biased evidence available."""
    if np.isnan(counts["decisions"]):
        return "unknown"
    if counts["reviewed"] > 0:
        return "text"
    if counts["complaints"] > 0:
        return "complained"
    return "unreviewed" if counts["decisions"] > 0 else "new"


def _similar_content(facts: Mapping[str, float], forms: TextFormats) -> tuple[str, dict[str, str]]:
    """Return the closest match with a verdict, or else with a decision."""
    kinds = [n.removeprefix("similar_").removesuffix("_days") for n in facts if _is_days(n)]
    order = sorted(kinds, key=lambda k: (("item", "text").index(k) if k in ("item", "text")
                                         else 3 if k == "near" else 2, k))  # fmt: skip
    for what in ("reviewed", "decisions"):
        for kind in order:
            values = {n: facts.get(f"similar_{kind}_{n}", np.nan)
                    for n in ("reviewed", "decisions", "violates", "wrong", "enforced_rate")}  # fmt: skip
            if values[what] > 0:
                name = kind if kind in ("item", "text", "near") else "picture"
                fill = {n: forms.count(values[n]) for n in ("reviewed", "decisions")}
                fill |= {n: forms.share(values[n]) for n in ("violates", "wrong")}
                fill["enforced"] = forms.share(values["enforced_rate"])
                return name if what == "reviewed" else "unreviewed", fill
    return "unknown", {}


def _is_days(name: str) -> bool:
    return name.startswith("similar_") and name.endswith("_days")


Floats = npt.NDArray[np.float64]

_NEAR = 0.1  # a score this close to its threshold counts as close
_RARE = 0.2  # share of decisions with more, or less, from which a value is called high or low
_MOST_WORDS = 4
_STANDS_OUT = 4  # a character with less than this share of the strongest push separates two pieces
_NO_REASONS = frozenset({FORMS, "default", "contrast"})
#: Facts that are shares of earlier decisions that were wrong.
_SHARES = frozenset({*_RECORDS, _SIMILAR})
#: Facts that say nothing unless they are compared with how often such decisions are wrong.
_BARE = frozenset({"policy_id", "action", "moderator", "text_shape", "other_scores"})


@dataclass(frozen=True)
class ReasonFacts:
    """Decisions with the facts that their reasons may state.

    Parameters
    ----------
    decisions
        Shape (n, any).
    X, names
        Shape (n, k), their features, and the features' names.
    words
        From `load_templates`.
    policies
        policy_id -> the name that people use.
    reference
        Distributions of the log's own columns, and which of them carry the same information.
    text
        Contributions of the words of their texts; None where no text was analysed.
    baselines
        Error rates by fact, from training; None for models trained without.
    """

    decisions: pd.DataFrame
    X: Floats
    names: Sequence[str]
    words: Words
    policies: Mapping[str, str] = field(default_factory=dict)
    reference: ReferenceDistribution = field(default_factory=ReferenceDistribution)
    text: WordContributions | None = None
    baselines: FactBaselines | None = None

    def __len__(self) -> int:
        return len(self.decisions)

    def describe_fact(self, code: str, row: int, towards: bool | None = True) -> str:
        """Return the sentence of one reason.

        Parameters
        ----------
        code
            The reason.
        row
            Which decision.
        towards
            Whether the reason points towards error; decides which words of a text are quoted.
            None quotes none.

        Returns
        -------
        str
            One sentence, without a full stop.
        """
        together = next((g for g in self.reference.alike if g[0] == code), (code,))
        if code in PAST or len(together) == 1:
            return self._fact_sentence(code, row, towards)
        return self.forms.joined([self._fact_sentence(name, row, towards) for name in together])

    def supporting_fact(self, code: str, row: int, towards: bool) -> str | None:
        """Return the sentence of one reason, compared with all decisions, if it supports its direction.

        Parameters
        ----------
        code, row, towards
            As for `describe_fact`.

        Returns
        -------
        str or None
            None where the fact says nothing, or speaks for the other direction. A fact is compared
            where such decisions were clearly more often wrong than others (or less, as `towards`
            says); one that means nothing by itself needs at least a visible difference.
        """
        sign = 1 if towards else -1
        alone = self._direction_alone(code, row, towards)
        baseline = self._baseline(code)
        measured = 0 if baseline is None else int(baseline.direction[row])
        if measured == -sign or (alone == -sign and (measured != sign or code in _SHARES)):
            return None
        fact = self.describe_fact(code, row, towards)
        if measured == sign and baseline is not None:
            return self._compare_fact(fact, row, baseline) or (fact if alone == sign else None)
        if alone == sign and code in (*_SHARES, "segment") and not np.isnan(self._reviewed):
            fill = {"fact": fact, "overall": self.forms.share(self._reviewed)}
            return self.words[FORMS]["compared_record"].format_map(fill)
        if alone == sign:
            return fact
        if self._says_nothing(code, row):
            return None
        if self.baselines is None:
            return fact
        rate = np.nan if baseline is None else sign * float(baseline.rate[row])
        leans = baseline is not None and rate > sign * float(baseline.overall[row])
        return self._compare_fact(fact, row, baseline) if leans and baseline else None

    def _compare_fact(self, fact: str, row: int, baseline: Baseline) -> str | None:
        """Return the fact with its rate and that of all; None where they read the same."""
        side = "enforced" if self._enforced[row] else "allowed"
        rate, overall = (
            self.forms.share(float(share[row])) for share in (baseline.rate, baseline.overall)
        )
        if rate == overall:
            return None
        fill = {"fact": fact, "rate": rate, "overall": overall}
        return self.words[FORMS][f"compared_{side}"].format_map(fill)

    def _baseline(self, code: str) -> Baseline | None:
        """Return what is known of every decision's fact; each reason is looked up once."""
        if self.baselines is None:
            return None
        found = self._baselines_by_code
        if code not in found:
            found[code] = self.baselines.compare(code, self._signal(code), self._enforced)
        return found[code]

    @cached_property
    def _baselines_by_code(self) -> dict[str, Baseline]:
        return {}

    def _signal(self, code: str) -> FactSignal:
        found = self._signals_by_code
        if code not in found:
            found[code] = fact_signal(code, self.decisions, self.X, self.names)
        return found[code]

    @cached_property
    def _signals_by_code(self) -> dict[str, FactSignal]:
        return {}

    @cached_property
    def _enforced(self) -> npt.NDArray[np.bool_]:
        if "enforced" in self.names:
            return np.asarray(self.X[:, list(self.names).index("enforced")] > 0, dtype=bool)
        if "enforced" in self.decisions:
            return self.decisions["enforced"].to_numpy(bool)
        return np.zeros(len(self), dtype=bool)

    def _says_nothing(self, code: str, row: int) -> bool:
        """Return whether a fact needs a comparison to mean something."""
        if code in _BARE:
            return True
        if self.baselines is None or code in ("margin", "text", "usual"):
            return False
        x = self._feature_values(row)
        if code in PAST:
            return True
        below = self.reference.percentile_rank(code, x.get(code, np.nan))
        return not (below >= 1 - _RARE or below <= _RARE)

    def _direction_alone(self, code: str, row: int, towards: bool) -> int:
        """Return where a fact points by itself: 1 towards error, -1 against it, 0 neither."""
        x = self._feature_values(row)
        if code == "text" and self._strongest_words(
            row, -1 if self._enforced[row] == towards else 1
        ):
            return 1 if towards else -1
        if code in ("text", "usual"):
            logit = x.get("text_logit_mean" if code == "text" else "usual_logit", np.nan)
            against = float(expit(-logit if self._enforced[row] else logit))
            return 1 if against >= 0.5 else -1 if against <= _RARE else 0
        if code == "other_policy":
            return 1 if x.get("other_policy_logit", np.nan) >= 0 else 0
        if code == "margin":
            gap = abs(x.get("margin", np.nan))
            return 0 if np.isnan(gap) else 1 if gap < _NEAR else -1
        return self._direction_of_record(code, row) if code in (*_SHARES, "segment") else 0

    def _direction_of_record(self, code: str, row: int) -> int:
        """Return whether more, or fewer, of the earlier decisions were wrong than of all."""
        share = float(self._signal(code).number[row])
        if code == "segment":
            share = float(expit(share))
        reviewed = self._reviewed
        if np.isnan(share):
            return 0
        return -1 if share == 0 else 1 if np.isnan(reviewed) else int(np.sign(share - reviewed))

    @property
    def _reviewed(self) -> float:
        return float("nan") if self.baselines is None else self.baselines.reviewed

    @cached_property
    def forms(self) -> TextFormats:
        """How numbers, shares and quotations are written."""
        return TextFormats(self.words)

    @cached_property
    def _decision_records(self) -> list[dict[Any, Any]]:
        return self.decisions.to_dict("records")

    def _fact_sentence(self, code: str, row: int, towards: bool | None) -> str:
        record, x = self._decision_records[row], self._feature_values(row)
        policy = record.get("policy_id")
        fill: dict[str, str] = {
            "column": sanitize_text(code),
            "value": self.forms.value(record.get(code)),
            "policy": self.forms.value(self.policies.get(str(policy), policy)),
            "action": self.forms.value(record.get("action")),
        }
        if code == "margin":
            variant, more = self._margin_fact(x)
        elif code == "text":
            variant, more = self._text_fact(row, x, towards)
        elif code in PAST:
            variant, more = history_template(code, x, self.forms)
        else:
            variant, more = self._plain(code, record, x)
        templates = _reason_templates(self.words, code)
        if variant in ("high", "low") and variant not in templates:
            variant = "text"
        if variant not in templates:
            templates = self.words["default"]
        return templates[variant].format_map(fill | more)

    def _feature_values(self, row: int) -> dict[str, float]:
        last = self._last_values  # a decision has many reasons
        if row not in last:
            last.clear()
            last[row] = dict(zip(self.names, self.X[row].tolist(), strict=True))
        return last[row]

    @cached_property
    def _last_values(self) -> dict[int, dict[str, float]]:
        return {}

    def _margin_fact(self, x: Mapping[str, float]) -> tuple[str, dict[str, str]]:
        gap, score = x["margin"], x["score"]
        if np.isnan(gap):
            known = not np.isnan(score)
            return ("score", {"score": self.forms.number(score, 2)}) if known else ("unknown", {})
        fill = {"score": self.forms.number(score, 2), "gap": self.forms.number(abs(gap), 2),
                "threshold": self.forms.number(x["threshold"], 2)}  # fmt: skip
        if abs(gap) < 0.005:
            return "at", fill
        near = "near_" if abs(gap) < _NEAR else ""
        return f"{near}{'above' if gap > 0 else 'below'}", fill

    def _text_fact(
        self, row: int, x: Mapping[str, float], towards: bool | None
    ) -> tuple[str, dict[str, str]]:
        logit = x["text_logit_mean"]
        if np.isnan(logit):
            return "unknown", {}
        enforced = bool(x["enforced"])
        fill = {"share": self.forms.share(float(expit(logit)))}
        variant = "enforced" if enforced else "allowed"
        # Words that lower P(violation) speak against having acted, and for allowing.
        found = (
            [] if towards is None else self._strongest_words(row, -1 if enforced == towards else 1)
        )
        if not found:
            return variant, fill
        fill["words"] = self.forms.quote_pieces(found)
        return f"{variant}_{'against' if towards else 'for'}", fill

    def _strongest_words(self, row: int, sign: int) -> list[str]:
        """Return the few words of a text that push most one way; similar ones count as one."""
        if self.text is None:
            return []
        start, stop = np.searchsorted(self.text.row, [row, row + 1])
        total: dict[str, float] = {}
        shown: dict[str, str] = {}
        for word, part in _text_pieces(self.text, int(start), int(stop), sign):
            bare = _strip_punctuation(word)
            key = bare.casefold()
            total[key] = total.get(key, 0.0) + sign * part
            shown.setdefault(key, bare)
        best = sorted(total, key=lambda key: (-total[key], key))[:_MOST_WORDS]
        top = total[best[0]] if best else 0.0
        return [shown[key] for key in best if total[key] > 0 and total[key] >= top / 10]

    def _plain(
        self, code: str, record: Mapping[Any, Any], x: Mapping[str, float]
    ) -> tuple[str, dict[str, str]]:
        if code == "text_shape":
            chars = x.get("text_chars", np.nan)
            if np.isnan(chars):
                return "unknown", {}
            return "text", {"chars": self.forms.count(chars),
                            "upper": self.forms.share(np.nan_to_num(x["text_upper_share"])),
                            "links": self.forms.count(x["text_links"])}  # fmt: skip
        if code == "other_scores":
            return self._scores_fact(x)
        if code == "segment":
            return "text", {"share": self.forms.share(float(expit(x["segment_logit"])))}
        if code == "usual":
            variant = "enforced" if x["enforced"] else "allowed"
            return variant, {"share": self.forms.share(float(expit(x["usual_logit"])))}
        if code == "other_policy":
            if np.isnan(x["other_policy_logit"]):
                return "unknown", {}
            return "text", {"share": self.forms.share(float(expit(x["other_policy_logit"])))}
        if code == "moderator":
            columns = {"moderator": "moderator", "version": "moderator_version"}
            return "text", {n: self.forms.value(record.get(c)) for n, c in columns.items()}
        if code in ("action", "policy_id"):
            return "text", {}
        if _is_missing(record.get(code)):
            return "unknown", {}
        below = self.reference.percentile_rank(code, x.get(code, np.nan))
        if below >= 1 - _RARE:
            return "high", {"share": self.forms.share(below)}
        if below <= _RARE:
            return "low", {"share": self.forms.share(1 - below)}
        return "text", {}

    def _scores_fact(self, x: Mapping[str, float]) -> tuple[str, dict[str, str]]:
        known = {n: v for n, v in x.items() if n.startswith("score_") and not np.isnan(v)}
        if not known:
            return "unknown", {}
        scores = [
            f"{sanitize_text(n.removeprefix('score_'), 30)} {self.forms.number(v)}"
            for n, v in list(known.items())[:_MOST_WORDS]
        ]
        return "text", {"scores": ", ".join(scores)}


def reason_title(code: str, words: Words, reference: ReferenceDistribution) -> str:
    """Return a reason's title; columns with the same information are all listed.

    Examples
    --------
    >>> from errdetect.explanations.reason_templates import load_templates
    >>> reason_title("price", load_templates(), ReferenceDistribution(alike=(("price", "price_usd"),)))
    'price, price_usd'
    """
    together = next((g for g in reference.alike if g[0] == code), (code,))
    titles = [
        _reason_templates(words, name)["title"].format_map(
            {"column": sanitize_text(name), **dict.fromkeys(("value", "policy", "action"), "")}
        )
        for name in together
    ]
    return words[FORMS]["between"].join(titles)


def _reason_templates(words: Words, code: str) -> Mapping[str, str]:
    """Return a reason's templates; missing ones are those of any column."""
    own = words.get(code) if code not in _NO_REASONS else None
    return words["default"] if own is None else own


def _text_pieces(
    text: WordContributions, start: int, stop: int, sign: int
) -> Iterator[tuple[str, float]]:
    """Return words; of split ones, the neighbouring characters that push most."""
    for _, entries in groupby(range(start, stop), key=lambda i: int(text.run[i])):
        run = list(entries)
        if len(run) == 1:
            yield str(text.word[run[0]]), float(text.part[run[0]])
            continue
        least = max(sign * float(text.part[i]) for i in run) / _STANDS_OUT
        for high, some in groupby(run, key=lambda i, m=least: 0 < m <= sign * text.part[i]):  # type: ignore[misc]
            together = list(some)
            if high:
                yield "".join(text.word[together]), float(text.part[together].sum())


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value


def _strip_punctuation(word: str) -> str:
    """Strip the punctuation around a word, unless it is all punctuation."""
    start, stop = 0, len(word)
    while start < stop and not _is_word_character(word[start]):
        start += 1
    while stop > start and not _is_word_character(word[stop - 1]):
        stop -= 1
    return word if start == stop else word[start:stop]


def _is_word_character(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LMN"
