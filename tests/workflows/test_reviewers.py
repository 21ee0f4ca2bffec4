"""What the report says of reviewers: equal figures, pseudonyms everywhere, words where nothing tells."""

import re
import stat
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from errdetect import snapshot as snapshots
from errdetect.changes import measured_effects as effects
from errdetect.config import KEY_FILE as SALT
from errdetect.config import load_config
from errdetect.config_schema import ReviewersSettings
from errdetect.data.pseudonyms import read_key
from errdetect.errors import ConfigError
from errdetect.ledger.ledger import open_ledger
from errdetect.reviewers.acceptance_sampling import AQLS
from errdetect.reviewers.error_rates import RATES
from errdetect.reviewers.scorecards import golden_items_needed
from errdetect.workflows import control_variate as control
from errdetect.workflows.estimate import estimate
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.proposals import proposals
from errdetect.workflows.report import report
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.reviewer_quality import check_reviewers, reviewer_quality
from errdetect.workflows.simulate import simulate
from errdetect.workflows.train import train

PLANTED = "Zebulon.Quux"  # stands in no word of ours


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A marketplace of its own, whose reviewers have names that nobody could overlook."""
    out = tmp_path_factory.mktemp("shop")
    simulate(out, decisions=6_000, days=90, seed=5)
    reviews = pd.read_parquet(out / "reviews.parquet")
    names = PLANTED + "-" + reviews["reviewer_id"].astype("str")
    reviews = reviews.assign(reviewer_id=names.where(reviews["reviewer_id"].notna(), None))
    reviews.to_parquet(out / "reviews.parquet")
    return out


@pytest.fixture(scope="module")
def read(shop):
    """The shop's snapshot, under a config with overrides."""

    def of(*overrides):
        config = load_config(shop / "config.yaml", overrides)
        return config, load_snapshot(config, progress=lambda _: None).snapshot

    return of


@pytest.fixture
def quality(read, tmp_path):
    def of(*overrides, **columns):
        config, snapshot = read(f"registry.path={tmp_path}", *overrides)
        changed = snapshot.with_reviews(snapshot.reviews.assign(**columns))
        return reviewer_quality(config, changed)

    return of


@pytest.fixture(scope="module")
def reported(shop, tmp_path_factory):
    return report(
        load_config(shop / "config.yaml", ["reviewers.minimum=5"]), tmp_path_factory.mktemp("r")
    )


def cells(folder):
    """Every value of every table in the folder, as text."""
    tables = sorted(folder.rglob("*.parquet"))
    assert tables
    return "\n".join(pq.read_table(path).to_pandas().to_csv() for path in tables)


def test_no_name_of_a_reviewer_stands_in_any_output(reported, shop):
    folder = reported.files["report"].parent
    for path in folder.rglob("*"):
        if path.is_file():
            assert PLANTED.lower() not in path.read_bytes().decode("latin-1").lower(), path
    text = cells(folder)
    assert PLANTED.lower() not in text.lower()
    assert not re.search(r"\br\d{3}\b", text)  # nor what is left of a name without its plant
    salt = (shop / "models" / SALT).read_text().strip()
    for said in (
        summary_text(reported),
        text,
        reported.files["report"].read_text(encoding="utf-8"),
    ):
        assert PLANTED not in said
        assert salt not in said
    cards = pd.read_parquet(folder / "tables/reviewers.parquet")
    people = cards["reviewer"].dropna()
    assert people.nunique() > 20
    assert people.str.fullmatch(r"reviewer-[0-9a-f]{12}").all()
    assert people[0:1].item() in reported.files["report"].read_text(encoding="utf-8")


def test_a_reviewer_keeps_the_pseudonym_and_another_salt_changes_it(quality, read, tmp_path):
    def people(cards):
        return set(cards["reviewer"].dropna())

    one, two = people(quality().cards), people(quality().cards)
    assert one == two
    (tmp_path / SALT).unlink()
    assert not one & people(quality().cards)


def test_equal_input_gives_equal_tables_in_any_order(quality, read):
    config, snapshot = read()
    one = reviewer_quality(config, snapshot)
    mixed = snapshot.reviews.sample(frac=1, random_state=4, ignore_index=True)
    two = reviewer_quality(config, snapshot.with_reviews(mixed))
    for name in ("cards", "agreement", "inspection"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))


def test_report_and_estimate_print_equal_figures(shop, reported, tmp_path):
    config = load_config(shop / "config.yaml")
    found = estimate(config, tmp_path, by=["market"])
    table = pd.read_parquet(reported.files["tables"] / "estimates.parquet")
    mine = table[table["language"].isna() & table["policy_id"].isna() & table["moderator"].isna()]
    columns = ["market", "measure", "estimate", "low", "high", "n_reviews", "method"]
    both = [
        frame[columns].sort_values(["market", "measure"], ignore_index=True)
        for frame in (mine, found.estimates)
    ]
    assert len(both[1]) > 20
    said = both[1]["estimate"].notna()
    assert said.sum() > 6
    pd.testing.assert_frame_equal(both[0], both[1], check_dtype=False)
    assert any("narrows the intervals" in note for note in reported.notes)
    assert both[1].loc[said, "method"].str.contains("P\\(error\\)|model").any()


@pytest.fixture
def calls(monkeypatch):
    """Counts the calls of functions by name, where they are looked up, and by `as_of`."""
    times = Counter()

    def of(module, name):
        plain = getattr(module, name)

        def counted(*args, **kwargs):
            times[f"{module.__name__}.{name}", kwargs.get("as_of")] += 1
            return plain(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)
        return lambda: sum(times[key] for key in times if key[0] == f"{module.__name__}.{name}")

    of.times = times
    return of


def accept(config, effective):
    """Record a proposal for the commonest policy, accepted as of a moment."""
    policies = load_snapshot(config, progress=lambda _: None).snapshot.decisions["policy_id"]
    row = {"proposal_id": "P-1", "policy_id": policies.value_counts().index[0], "title": "x"}
    with open_ledger(config.ledger_url()) as ledger:
        ledger.add_proposals(pd.DataFrame([row]))
    proposals(config, accept="P-1", by="Ana", effective=effective.to_pydatetime())


@pytest.mark.parametrize("changed", [False, True])
def test_a_report_works_out_everything_once(shop, tmp_path, calls, changed):
    """What a change did is estimated on a sample of its own, which is read once, too."""
    settings = [f"ledger.url=sqlite:///{tmp_path}/ledger.db", "targets.per_market=true",
                "targets.rates={error_rate: 0.05}"]  # fmt: skip
    config = load_config(shop / "config.yaml", settings)
    if changed:
        accept(config, pd.read_parquet(shop / "decisions.parquet")["decided_at"].quantile(0.5))
    fitted = calls(snapshots, "fit_reviewer_model")
    varied = calls(control, "control_variate")
    read, estimated = calls(snapshots, "gather_audit_sample"), calls(control, "estimate_rates")
    of_change = calls(effects, "estimate_rates")
    tables = report(config, tmp_path / "r").files["tables"]
    assert (fitted(), varied(), estimated()) == (1, 1, 1)
    assert read() == 1 + of_change()
    assert of_change() == (2 if changed else 0)  # before against after, and the trend before
    assert (tables / "effects.parquet").exists() == changed
    assert len(pd.read_parquet(tables / "targets.parquet"))


def test_training_fits_reviewers_once_a_moment(shop, tmp_path, calls):
    settings = [f"registry.path={tmp_path}", "train.trials=0", "evaluate.bootstrap=50",
                "gate.min_errors=1"]  # fmt: skip
    fitted = calls(snapshots, "fit_reviewer_model")
    train(load_config(shop / "config.yaml", settings))
    assert fitted() > 1
    assert set(calls.times.values()) == {1}, calls.times


def test_the_tables_are_written(reported):
    names = {path.stem for path in reported.files["tables"].iterdir()}
    assert {"estimates", "reviewers", "agreement", "inspection"} <= names
    plans = pd.read_parquet(reported.files["tables"] / "inspection.parquet")
    assert {"alder", "birch", "cedar"} <= set(plans["site"].dropna())
    assert "experts" not in set(plans["site"].dropna())


def test_golden_items_are_counted_for_sites_and_both_rates_only(quality):
    cards = quality("reviewers.minimum=15").cards
    counted = cards[cards["golden_needed"].notna()]
    assert set(counted["measure"]) == set(RATES)
    assert counted["reviewer"].isna().all()
    assert counted["site"].notna().all()
    told = counted[~counted["suppressed"]]
    assert len(told) > 3
    most = [golden_items_needed(float(rate)) for rate in told["high"]]
    assert (told["golden_needed"].to_numpy() <= np.array(most)).all()


def test_a_single_reviewer_gets_words_and_no_figure(quality):
    found = quality("reviewers.minimum=1", reviewer_id="ann", site="Riga")
    assert found.cards["suppressed"].all()
    assert found.cards[["value", "low", "high"]].isna().all(axis=None)
    assert (found.cards["note"] == "one reviewer").all()
    assert found.cards["golden_needed"].isna().all()
    assert any("All reviews come from one reviewer" in note for note in found.notes)
    assert found.agreement["alpha"].isna().all()
    assert found.agreement["note"].str.contains("30 are needed").all()


def test_a_lone_reviewer_of_a_site_is_held_back_and_the_others_are_not(quality, read):
    reviews = read()[1].reviews
    at = reviews["site"] == "elm"
    names = reviews["reviewer_id"].where(~at, "ann")
    cards = quality("reviewers.minimum=5", reviewer_id=names).cards
    assert cards.loc[cards["site"] == "elm", "suppressed"].all()
    assert cards.loc[cards["site"] == "elm", "value"].isna().all()
    assert not cards.loc[(cards["site"] == "alder") & cards["reviewer"].isna(), "suppressed"].all()


def test_the_one_name_among_nameless_reviews_is_held_back_but_not_its_site(quality, read):
    reviews = read()[1].reviews
    at = reviews["site"] == "elm"
    half = np.arange(len(reviews)) % 2 == 0
    names = reviews["reviewer_id"].where(~at, pd.Series(np.where(half, "ann", None), reviews.index))
    cards = quality("reviewers.minimum=5", reviewer_id=names).cards
    elm = cards[cards["site"] == "elm"]
    assert (elm.loc[elm["reviewer"].notna(), "note"] == "one reviewer").all()
    assert elm["reviewer"].notna().any()
    assert not elm.loc[elm["reviewer"].isna(), "suppressed"].all()


def test_without_sites_and_names_the_notes_say_so(quality, tmp_path):
    found = quality(site=None, reviewer_id=None)
    assert found.cards["site"].isna().all()
    assert found.cards["reviewer"].isna().all()
    assert any("No review names a site" in note for note in found.notes)
    assert any("No review names its reviewer" in note for note in found.notes)
    assert not (tmp_path / SALT).exists()  # nobody to hide


def test_without_golden_items_and_overlap_there_are_no_rates(quality, read):
    config, snapshot = read()
    reviews = snapshot.reviews
    first = reviews["source"].ne("golden") & ~reviews.duplicated("decision_id")
    few = reviews[first & reviews["source"].ne("adjudication")]
    found = reviewer_quality(config, snapshot.with_reviews(few))
    assert found.cards is not None
    rates = found.cards[found.cards["measure"].isin([*RATES, "accuracy", "peer_agreement"])]
    assert rates["suppressed"].all()
    assert rates["value"].isna().all()
    assert rates["golden_needed"].isna().all()
    assert any("P(error) is the share of votes" in note for note in found.notes)


def test_votes_leave_reviewers_unmeasured_and_say_so(quality):
    found = quality("labels.reviewers=votes")
    assert found.cards is None
    assert any("labels.reviewers: votes" in note for note in found.notes)
    assert len(found.inspection)
    assert found.agreement["n_decisions"].iloc[0] > 0


def test_a_report_without_reviewers_says_so(shop, tmp_path):
    reviews = pd.read_parquet(shop / "reviews.parquet").drop(columns=["reviewer_id", "site"])
    reviews.to_parquet(tmp_path / "bare.parquet")
    config = load_config(shop / "config.yaml", [f"data.reviews={tmp_path / 'bare.parquet'}"])
    page = report(config, tmp_path / "r").files["report"].read_text(encoding="utf-8")
    assert "No review names its reviewer" in page
    assert "reviewer-" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S)


def test_later_reviews_change_nothing_at_an_earlier_moment(read, tmp_path):
    cut = read()[1].reviews["reviewed_at"].quantile(0.7)
    config, snapshot = read(f"registry.path={tmp_path}", f"labels.as_of={cut.isoformat()}")
    reviews = snapshot.reviews
    early = reviews[reviews["reviewed_at"] <= cut]
    one, two = (reviewer_quality(config, snapshot.with_reviews(r)) for r in (reviews, early))
    assert len(early) < len(reviews)
    for name in ("cards", "agreement", "inspection"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    assert one.notes == two.notes


def test_the_salt_is_drawn_once_and_for_its_owner_alone(tmp_path):
    folder = tmp_path / "deep" / "models"
    salt = read_key(folder / SALT, {})
    assert len(salt.secret) == 32
    assert read_key(folder / SALT, {}) == salt
    assert stat.S_IMODE((folder / SALT).stat().st_mode) == 0o600
    assert [p.name for p in folder.iterdir()] == [SALT]
    assert read_key(tmp_path / "other" / SALT, {}) != salt


@pytest.mark.parametrize(
    ("content", "got"),
    [(b"", "0 bytes"), (b"abc123", "6 bytes"), (b"z" * 64, "other characters")],
)
def test_a_damaged_salt_is_refused_without_telling_it(tmp_path, content, got):
    (tmp_path / SALT).write_bytes(content)
    with pytest.raises(ConfigError, match=f"must hold 64 hexadecimal digits, got {got}") as error:
        read_key(tmp_path / SALT, {})
    assert "abc123" not in str(error.value)
    assert "new pseudonym" in str(error.value)
    assert (tmp_path / SALT).read_bytes() == content


def test_a_salt_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / SALT).mkdir()
    with pytest.raises(ConfigError, match=r"salt file .* must be readable"):
        read_key(tmp_path / SALT, {})


def test_a_damaged_salt_stops_the_report_before_anything_is_written(shop, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / SALT).write_text("short")
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        report(
            load_config(shop / "config.yaml", [f"registry.path={tmp_path / 'm'}"]), tmp_path / "r"
        )
    assert not (tmp_path / "r").exists()


def test_an_aql_that_the_standard_lacks_is_refused_at_once(shop, tmp_path):
    config = load_config(shop / "config.yaml", ["reviewers.aql=1.2"])
    with pytest.raises(ConfigError, match=r"reviewers\.aql must be one of .*, got 1\.2\."):
        report(config, tmp_path)
    for aql in AQLS:
        check_reviewers(config.model_copy(update={"reviewers": ReviewersSettings(aql=aql)}))
