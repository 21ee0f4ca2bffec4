import dataclasses

import numpy as np
import pytest

from errdetect.features.text_models import count_texts
from errdetect.model import ensemble as room
from errdetect.model.ensemble import (
    choose_ensemble,
    choose_text_recipes,
    fit_ensemble,
    has_few_labels,
)
from errdetect.model.ensemble_members import DEFAULT_PARAMS, FitOptions
from errdetect.model.training_data import count_texts_once, prepare_examples
from errdetect.model.tuning import Objective

AIM = (Objective(), FitOptions())


def parts(examples, text=True):
    fit, held = examples.take(np.arange(1000)), examples.take(np.arange(1000, 1500))
    counted = count_texts_once(examples.decisions, fit, leave_out=(), text=text)
    prepared = prepare_examples(fit, counted, leave_out=(), text=text, seed=0)
    texts = counted.of(held.decisions) if text else None
    return prepared, prepared.prepare_later(held, texts)


def test_the_usual_average_stays_without_a_clear_lead(examples):
    prepared, held = parts(examples)
    found = choose_ensemble(prepared, held, DEFAULT_PARAMS, np.ones(500), *AIM)
    assert set(found.values) == set(room._AVERAGES)
    if found.name == "trees":
        assert found.notes == ()
    members = fit_ensemble(prepared, found, DEFAULT_PARAMS, FitOptions())
    assert {m.name: m.weight for m in members} == dict(found.weights)
    trees = next(m.model for m in members if m.name == "extra")
    assert trees.current_iteration() == round(found.rounds["extra"] * 1.15)


def test_text_models_that_add_nothing_are_not_paid_for(examples):
    """The trap word shows in characters; words and tags have nothing to add."""
    prepared, held = parts(examples)
    recipes = choose_text_recipes(prepared, held, np.ones(500), *AIM)
    assert {recipe.view for recipe in recipes} == {"char"}
    some = prepared.with_recipes(recipes)
    assert some.text.views == ("char",)
    detector = some.detector(())
    later = held.examples.decisions
    counts = count_texts(later, some.text.tags, some.text.views)
    by_counts = detector.features_from_counts(later, counts)
    np.testing.assert_array_equal(by_counts, held.with_recipes(recipes).X)
    np.testing.assert_array_equal(detector.features(later), by_counts)


def test_text_models_that_rank_better_are_kept(examples):
    prepared, held = parts(examples)
    column = held.encoding.names.index("text_tagged_logit")
    for part in (prepared, held):
        noise = np.random.default_rng(1).normal(0, 1, len(part.X))
        part.X[:, column] = np.where(part.examples.violates > 0, 3.0, -3.0) + noise
    recipes = choose_text_recipes(prepared, held, np.ones(500), *AIM)
    assert "tagged" in {recipe.name for recipe in recipes}


def test_the_segment_rate_is_the_floor(examples, monkeypatch):
    """Where later decisions say clearly that segments rank better, they do, and it is said."""
    prepared, held = parts(examples, text=False)
    told = np.where(held.examples.error > 0, 3.0, -3.0)
    column = held.encoding.names.index("segment_logit")
    held.X[:, column] = told + np.random.default_rng(0).normal(0, 1, 500)
    noise = dataclasses.replace(
        prepared.examples, p_error=np.full(1000, 0.5), p_violates=np.full(1000, 0.5)
    )
    prepared = dataclasses.replace(prepared, examples=noise)
    found = choose_ensemble(prepared, held, DEFAULT_PARAMS, np.ones(500), *AIM)
    assert "segment" in found.weights
    assert any("ranked better by" in note for note in found.notes)


@pytest.mark.parametrize(
    ("n", "errors", "few"), [(299, 60, True), (400, 29, True), (400, 40, False)]
)
def test_what_few_means(examples, n, errors, few):
    some = examples.take(np.arange(n))
    y = (np.arange(n) < errors).astype(float)
    assert has_few_labels(dataclasses.replace(some, error=y)) is few


def test_without_text_no_average_asks_for_texts(examples):
    found = choose_ensemble(*parts(examples, text=False), DEFAULT_PARAMS, np.ones(500), *AIM)
    assert "trees and the texts" not in found.values
