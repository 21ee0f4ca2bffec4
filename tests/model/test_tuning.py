import numpy as np
import pytest

from errdetect.model.ensemble_members import DEFAULT_PARAMS, FitOptions
from errdetect.model.training_data import PreparedExamples, count_texts_once, prepare_examples
from errdetect.model.tuning import (
    HeldOutErrors,
    Objective,
    Search,
    is_within_noise,
    objective_value,
    tune,
)

AVERAGE_PRECISION, SEED_0 = Objective(), FitOptions()


def tuned_with(parts, *, trials=6, storage=None, objective=AVERAGE_PRECISION, options=SEED_0):
    return tune(*parts, np.ones(500), Search(trials, None, storage), objective, options)


@pytest.fixture(scope="module")
def parts(examples) -> tuple[PreparedExamples, PreparedExamples]:
    fit, held = examples.take(np.arange(1000)), examples.take(np.arange(1000, 1500))
    counted = count_texts_once(examples.decisions, fit, leave_out=(), text=False)
    prepared = prepare_examples(fit, counted, leave_out=(), text=False, seed=0)
    return prepared, prepared.prepare_later(held, None)


def test_the_default_is_tried_first_and_lagging_trials_are_pruned(parts):
    told: list[str] = []
    tuned = tuned_with(parts, trials=12, options=FitOptions(progress=told.append))
    assert len(tuned.trials) == 13
    first = tuned.trials[0]
    assert {name: first[name] for name in ("num_leaves", "lambda_l2")} == {
        name: DEFAULT_PARAMS[name] for name in ("num_leaves", "lambda_l2")
    }
    states = [t["state"] for t in tuned.trials]
    assert "pruned" in states
    assert all(t["average_precision"] is not None for t in tuned.trials if t["state"] == "complete")
    assert told[-1].startswith("tuning: 13 of 13 settings tried, best average precision 0.")


def test_equal_input_gives_equal_trials(parts):
    first, second = (tuned_with(parts) for _ in range(2))
    assert first == second


def test_a_broken_off_search_goes_on(parts, tmp_path):
    storage = f"sqlite:///{tmp_path / 'tuning.db'}"
    some = tuned_with(parts, trials=2, storage=storage)
    more = tuned_with(parts, trials=4, storage=storage)
    assert len(some.trials) == 3
    assert more.trials[:3] == some.trials
    assert len(more.trials) == 5
    again = tuned_with(parts, trials=4, storage=storage)
    assert again == more


def test_other_data_is_another_search(parts, tmp_path):
    storage = f"sqlite:///{tmp_path / 'tuning.db'}"
    tuned_with(parts, trials=1, storage=storage)
    other = tuned_with(parts, trials=1, storage=storage, options=FitOptions(seed=1))
    assert len(other.trials) == 2


def test_no_trials_keep_the_default(parts):
    tuned = tuned_with(parts, trials=0)
    assert tuned.params == DEFAULT_PARAMS
    assert tuned.trials == ()


def test_the_user_s_objective(parts):
    tuned = tuned_with(parts, objective=Objective("recall", 0.1))
    assert all("recall" in trial for trial in tuned.trials)
    y, raw = np.array([1.0, 0, 0, 1]), np.array([4.0, 3, 2, 1])
    held = HeldOutErrors(y, np.ones(4))
    assert objective_value(held, raw, Objective("recall", 0.25)) == 0.5
    harmful = HeldOutErrors(y, np.ones(4), np.array([1.0, 1, 1, 7]))
    # The last one is the least suspect and by far the most harmful: harm wants it first.
    assert objective_value(harmful, raw, Objective("harm", 0.25)) == 0.875
    assert objective_value(harmful, raw - [0, 0, 0, 9], Objective("harm", 0.25)) == 0.125
    assert objective_value(HeldOutErrors(np.zeros(4), np.ones(4)), raw, Objective()) == 0


def test_a_lead_by_chance_is_luck_and_a_real_one_is_not():
    rng = np.random.default_rng(0)
    y = (rng.random(2000) < 0.2).astype(float)
    usual = y + rng.normal(0, 2, 2000)
    near, far = usual + rng.normal(0, 0.01, 2000), y + rng.normal(0, 0.5, 2000)
    held = HeldOutErrors(y, np.ones(2000))
    assert is_within_noise(held, near, usual, Objective(), 0, standard_errors=2.0)
    assert not is_within_noise(held, far, usual, Objective(), 0, standard_errors=2.0)
