"""What a model learns from decisions that it sees again as if of a kind never seen."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from errdetect.features.feature_matrix import fit_encoding
from errdetect.features.text_models import RIDGE, count_texts, fit_text_models
from errdetect.model import training_data
from errdetect.model.classifier import ErrorClassifier
from errdetect.model.detector import Examples
from errdetect.model.new_kinds import hide_kinds, kind_columns

SOURCES = [f"forum {letter}" for letter in "abcdefgh"]
COUNTRY = dict(zip(SOURCES, ["de", "fr", "es", "it", "pl", "pl", "nl", "nl"], strict=True))


def market(n: int, seed: int, sources=SOURCES):
    """Each forum has words of its own that tell violations, and quotes other forums' words without meaning."""
    rng = np.random.default_rng(seed)
    source = rng.choice(sources, n)
    violates = rng.random(n) < 0.4
    bad = np.where(rng.random(n) < 0.9, violates, ~violates)
    own = [
        f"{s[-1] * 5}{'bad' if b else 'good'}{k}"
        for s, b, k in zip(source, bad, rng.integers(0, 3, n), strict=True)
    ]
    quoted = [
        " ".join(
            f"{rng.choice(list('abcdefgh')) * 5}{rng.choice(['bad', 'good'])}{rng.integers(0, 3)}"
            for _ in range(2)
        )
        for _ in range(n)
    ]
    score = np.clip(0.5 + 0.25 * (violates - 0.5) + rng.normal(0, 0.2, n), 0, 1)
    enforced = score > 0.5
    decisions = pd.DataFrame(
        {
            "decision_id": [f"{seed}-{i}" for i in range(n)],
            "decided_at": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(rng.uniform(0, 90, n), "D"),
            "source": source,
            "country": [COUNTRY.get(s, "ro") for s in source],
            "score": score,
            "threshold": 0.5,
            "enforced": enforced,
            "text": [f"{a} {b}" for a, b in zip(own, quoted, strict=True)],
        }
    )  # fmt: skip
    return decisions, (violates != enforced).astype(float)


@pytest.fixture(scope="module")
def hidden():
    decisions, error = market(2400, 1)
    violates = np.where(error == 1, ~decisions["enforced"], decisions["enforced"]).astype(float)
    one = np.ones(len(error))
    examples = Examples(decisions, error, violates, one, one)
    encoding = fit_encoding(decisions, leave_out=(), text=True, segment=True)
    counts = count_texts(decisions, (), views=("char",))
    return examples, encoding, hide_kinds(
        examples, encoding, counts, tags=(), recipes=(RIDGE,), seed=0
    )  # fmt: skip


def test_columns_of_six_kinds(hidden):
    examples, encoding, _ = hidden
    assert set(kind_columns(examples.decisions, encoding)) == {"source", "country"}


def test_nothing_names_the_hidden_kind(hidden):
    """The forum is missing, and so is its country where no other forum of another fold has it."""
    examples, encoding, found = hidden
    by_source = slice(0, 2400)
    names = list(encoding.names)
    assert np.isnan(found.X[by_source, names.index("source")]).all()
    country = examples.decisions["country"].to_numpy()[found.position[by_source]]
    unknown = np.isnan(found.X[by_source, names.index("country")])
    assert unknown[np.isin(country, ["de", "fr", "es", "it"])].all()
    assert np.isfinite(found.X[:, names.index("score")]).all()


def test_texts_are_scored_by_models_that_never_met_the_kind(hidden):
    """A forum's own words are unknown elsewhere: hidden, its texts tell far less than out of fold."""
    examples, encoding, found = hidden
    counts = count_texts(examples.decisions, (), views=("char",))
    fold = np.random.default_rng(0).integers(0, 5, len(examples))
    _, usual = fit_text_models(
        counts, examples.violates, examples.weight, fold, recipes=(RIDGE,), seed=0
    )
    logit = found.X[:2400, list(encoding.names).index("text_ridge_logit")]
    own = np.corrcoef(logit, examples.violates[found.position[:2400]])[0, 1]
    assert own < 0.8 * np.corrcoef(usual[:, 0], examples.violates)[0, 1]
    assert found.weight.sum() <= examples.weight.sum() * (1 + 1e-9)


def test_a_new_kind_is_ranked_better(monkeypatch):
    decisions, error = market(2400, 2)
    new, wrong = market(1500, 3, ["new"])
    known, known_wrong = market(1500, 4)

    def ranked() -> tuple[float, float]:
        model = ErrorClassifier().fit(decisions, error.astype(int))
        return tuple(
            average_precision_score(y, model.predict_proba(X)[:, 1])
            for X, y in ((new, wrong), (known, known_wrong))
        )

    there, usual = ranked()
    monkeypatch.setattr(training_data, "hide_kinds", lambda *_, **__: None)
    without, usual_without = ranked()
    assert there > without + 0.1
    assert usual > usual_without - 0.03


def test_few_labels_or_kinds_change_nothing(hidden):
    examples, encoding, _ = hidden
    few = examples.take(np.arange(200))
    assert hide_kinds(few, encoding, None, tags=(), recipes=(), seed=0) is None
