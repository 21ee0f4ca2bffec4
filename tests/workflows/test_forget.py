"""The command that removes a person, and what it says that it cannot."""

import pytest

from errdetect.config import load_config
from errdetect.errors import ConfigError
from errdetect.workflows.forget import forget
from errdetect.workflows.ingest import ingest
from errdetect.workflows.simulate import simulate


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    out = tmp_path_factory.mktemp("forget")
    simulate(out, decisions=300, days=20, seed=2)
    return out


def test_a_reviewer_leaves_the_ledger(place, tmp_path):
    import pandas as pd

    reviews = pd.read_parquet(place / "reviews.parquet")
    name = reviews["reviewer_id"].dropna().iloc[0]
    config = load_config(place / "config.yaml", [f"ledger.url=sqlite:///{tmp_path}/l.db"])
    ingest(config, str(place / "reviews.parquet"))
    result = forget(config, reviewer=name)
    assert result.n_reviews == int((reviews["reviewer_id"] == name).sum())
    again = forget(config, reviewer=name)
    assert again.n_reviews == 0
    assert again.lines()[0] == "Removed the reviewer from the ledger: nothing there."
    assert any("data.reviews are yours" in line for line in result.lines())
    account = forget(config, account=pd.read_parquet(place / "decisions.parquet")["account_id"][0])
    assert (account.who, account.n_queued) == ("account", 0)


def test_one_person_must_be_named(place, tmp_path):
    config = load_config(place / "config.yaml", [f"ledger.url=sqlite:///{tmp_path}/l.db"])
    for given in ({}, {"account": "a", "reviewer": "b"}, {"account": ""}):
        with pytest.raises(ConfigError, match="must name an account or a reviewer"):
            forget(config, **given)
    assert forget(config, reviewer="nobody").n_reviews == 0
    assert not (tmp_path / "l.db").exists()
