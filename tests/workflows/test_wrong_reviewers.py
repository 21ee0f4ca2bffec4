"""Reviewers who go wrong, from the files to the figures: named, set aside, and counted as left out."""

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.workflows.estimate import estimate
from errdetect.workflows.report import report
from errdetect.workflows.simulate import simulate

SITE = "alder"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A marketplace of which one site upholds every decision."""
    out = tmp_path_factory.mktemp("shop")
    simulate(out, decisions=6_000, days=90, seed=5)
    reviews = pd.read_parquet(out / "reviews.parquet")
    theirs = (reviews["site"] == SITE) & (reviews["source"] != "adjudication")
    broken = reviews.assign(verdict=reviews["verdict"].where(~theirs, "upheld"))
    reviews.to_parquet(out / "sound.parquet")
    broken.assign(correct_policy_id=broken["correct_policy_id"].where(~theirs, None)).to_parquet(
        out / "reviews.parquet"
    )
    return out


@pytest.fixture(scope="module")
def estimated(shop, tmp_path_factory):
    """Estimate under overrides; each once."""
    done = {}

    def of(*overrides):
        if overrides not in done:
            config = load_config(shop / "config.yaml", [*overrides])
            done[overrides] = estimate(config, tmp_path_factory.mktemp("e"))
        return done[overrides]

    return of


def error_rate(found):
    return found.estimates.set_index("measure").loc["error_rate"]


def intake_count(found, reason):
    rows = [row for row in found.intake.rows if row.reason == reason]
    return sum(row.n for row in rows)


def test_a_silent_site_is_named_set_aside_and_counted(shop, estimated):
    found = estimated()
    named = [note for note in found.notes if note.startswith(f"site {SITE}: ")]
    assert len(named) == 1
    assert "reports too few flags (0 flags in" in named[0]
    assert any(
        "surely no better than chance; with them it would be" in note for note in found.notes
    )
    reviews = pd.read_parquet(shop / "reviews.parquet")
    theirs = reviews[(reviews["site"] == SITE) & reviews["source"].isin(["audit", "golden"])]
    assert intake_count(found, "excluded reviewer") >= len(theirs)
    truth = pd.read_parquet(shop / "truth.parquet")["is_error"].mean()
    assert error_rate(found)["low"] < truth < error_rate(found)["high"]
    assert error_rate(found)["n_reviews"] < error_rate(estimated(NOBODY))["n_reviews"]


NOBODY = "labels.exclude_reviewers=[]"


def test_an_empty_list_names_but_sets_nothing_aside(estimated):
    found = estimated(NOBODY)
    assert any(note.startswith(f"site {SITE}: ") for note in found.notes)
    assert not any("no better than chance" in note for note in found.notes)
    assert "of its audited work is by reviewers or sites" in error_rate(found)["method"]
    assert "of its audited work" not in error_rate(estimated())["method"]
    assert intake_count(found, "excluded reviewer") == 0


def test_an_excluded_site_is_left_out_of_everything_and_accounted_for(shop, estimated):
    found = estimated(f"labels.exclude_reviewers=['site:{SITE}']")
    reviews = pd.read_parquet(shop / "reviews.parquet")
    assert intake_count(found, "excluded reviewer") == (reviews["site"] == SITE).sum()
    assert intake_count(found, "read") == len(reviews) + 6_000
    assert not any(note.startswith(f"site {SITE}: ") for note in found.notes)
    assert error_rate(found)["estimate"] == pytest.approx(
        error_rate(estimated())["estimate"], abs=0.02
    )


def test_an_excluded_reviewer_by_id_and_a_name_that_nobody_has(shop, estimated):
    reviews = pd.read_parquet(shop / "reviews.parquet")
    name = reviews["reviewer_id"].value_counts().index[0]
    found = estimated(f"labels.exclude_reviewers=['{name}','reviewer:auto','site:Atlantis']")
    assert intake_count(found, "excluded reviewer") == (reviews["reviewer_id"] == name).sum()
    for gone in ("reviewer:auto", "site:Atlantis"):
        assert f"labels.exclude_reviewers: no review is by {gone}" in found.notes


def test_sound_reviewers_are_neither_named_nor_set_aside(shop, estimated):
    found = estimated(f"data.reviews={shop / 'sound.parquet'}")
    assert not any("others would report" in note for note in found.notes)
    assert intake_count(found, "excluded reviewer") == 0


def test_the_report_names_the_site_in_its_first_section_and_its_table(shop, tmp_path):
    found = report(load_config(shop / "config.yaml"), tmp_path / "r")
    page = found.files["report"].read_text(encoding="utf-8")
    first = page[page.index('id="summary"') : page.index('id="reviewers"')]
    assert f"site {SITE}: reports too few flags" in first
    cards = pd.read_parquet(found.files["tables"] / "reviewers.parquet")
    row = cards[(cards["measure"] == "deviation") & cards["reviewer"].isna()].iloc[0]
    assert (row["site"], row["value"], row["suppressed"]) == (SITE, 0, False)
    people = cards["reviewer"].dropna()
    assert people.str.fullmatch(r"reviewer-[0-9a-f]{12}").all()
