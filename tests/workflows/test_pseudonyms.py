"""Reviewers are pseudonyms in the ledger; their ids stay in the user's own tables."""

import stat

import pandas as pd
import pytest
from sqlalchemy import text

from errdetect.config import load_config
from errdetect.data.database_tables import open_engine, write_transaction
from errdetect.data.pseudonyms import KEY_VARIABLE, find_key, is_pseudonym
from errdetect.errors import ConfigError, DataError
from errdetect.ledger import schema_upgrade
from errdetect.ledger.ledger import open_ledger
from errdetect.workflows.estimate import estimate
from errdetect.workflows.find_reviewer import accept_new_key, find_reviewer
from errdetect.workflows.ingest import ingest
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.project_ledger import open_project_ledger
from errdetect.workflows.simulate import simulate

#: No id of the simulation, and nothing that a hash or a random name holds.
MARK = "Zoë.Qvist+"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("people")
    simulate(out, decisions=1_500, days=60, seed=4)
    reviews = pd.read_parquet(out / "reviews.parquet")
    reviews["reviewer_id"] = MARK + reviews["reviewer_id"].astype("str")
    reviews.to_parquet(out / "reviews.parquet")
    return out


@pytest.fixture
def shop(made, tmp_path):
    """A project with a ledger and a registry of its own."""

    def load(*more):
        own = [f"ledger.url=sqlite:///{tmp_path}/l.db", f"registry.path={tmp_path}/m"]
        return load_config(made / "config.yaml", [*own, *more])

    return load


def _bytes_below(folder):
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_no_id_of_a_reviewer_gets_into_the_ledger(shop, made, tmp_path):
    config = shop()
    ingest(config, str(made / "reviews.parquet"))
    with open_project_ledger(config) as ledger:
        names = ledger.reviews()["reviewer_id"]
    own = pd.read_parquet(made / "reviews.parquet")["reviewer_id"]
    assert is_pseudonym(names).all()
    assert names.nunique() == own.nunique()
    assert b"Qvist" not in _bytes_below(tmp_path)
    key = tmp_path / "m" / "reviewers.salt"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_bytes().strip() not in (tmp_path / "l.db").read_bytes()


def test_figures_are_equal_whoever_holds_the_reviews(shop, made, tmp_path):
    """In the file, in the ledger, in both, half in each: the same people."""
    own = pd.read_parquet(made / "reviews.parquet")
    own.iloc[::2].to_parquet(tmp_path / "half.parquet")
    file = estimate(shop(), tmp_path / "file").files["estimates"]
    config = shop()
    ingest(config, str(made / "reviews.parquet"))
    results = {
        "both": estimate(config, tmp_path / "both"),
        "ledger": estimate(shop("data.reviews=null"), tmp_path / "ledger"),
        "half": estimate(shop(f"data.reviews={tmp_path}/half.parquet"), tmp_path / "half"),
    }
    expected = pd.read_parquet(file)
    for name, result in results.items():
        found = pd.read_parquet(result.files["estimates"])
        pd.testing.assert_frame_equal(found, expected, obj=name)
    both = load_snapshot(config, progress=lambda _: None)
    assert both.reviews is not None
    assert both.reviews.rejects.empty
    assert both.snapshot.reviews["reviewer_id"].nunique() == own["reviewer_id"].nunique()


@pytest.mark.parametrize("source", [None, "reviews.parquet"])
def test_excluded_reviewers_are_named_by_id_or_pseudonym(shop, made, source):
    ingest(shop(), str(made / "reviews.parquet"))
    name = pd.read_parquet(made / "reviews.parquet")["reviewer_id"].mode()[0]
    hidden = find_reviewer(shop(), name).pseudonym
    left = [f"data.reviews={source or 'null'}"]
    sizes = {
        len(load_snapshot(shop(*left, f'labels.exclude_reviewers=["{one}"]'),
                          progress=lambda _: None).snapshot.reviews)
        for one in (name, f"reviewer:{name}", hidden)
    }  # fmt: skip
    everyone = len(load_snapshot(shop(*left), progress=lambda _: None).snapshot.reviews)
    assert len(sizes) == 1
    assert 0 < sizes.pop() < everyone


def test_a_manager_looks_one_reviewer_up(shop, made):
    ingest(shop(), str(made / "reviews.parquet"))
    own = pd.read_parquet(made / "reviews.parquet")["reviewer_id"]
    name = own.iloc[0]
    found = find_reviewer(shop(), name)
    back = find_reviewer(shop(), str(found.pseudonym))
    assert back == found
    assert found.reviewer_id == name
    assert found.n_reviews == found.n_recorded == int((own == name).sum())
    assert find_reviewer(shop("data.reviews=null"), str(found.pseudonym)).reviewer_id is None
    with pytest.raises(DataError, match="The reviewer must have reviewed"):
        find_reviewer(shop(), "nobody")


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_or_changed_key_is_one_message(shop, made, tmp_path, lost, monkeypatch):
    config = shop()
    ingest(config, str(made / "reviews.parquet"))
    key = tmp_path / "m" / "reviewers.salt"
    kept = key.read_text()
    if lost:
        key.unlink()
    else:
        key.write_text("0" * 64)
    must = "be there, got none" if lost else "be the one that made them, got another one"
    commands = [lambda: estimate(config, tmp_path / "e"), lambda: find_reviewer(config, "x")]
    if not lost:
        commands.append(lambda: ingest(config, str(made / "reviews.parquet")))
    for command in commands:
        with pytest.raises(DataError, match=f"{must}.*Restore the key.*--new-key") as error:
            command()
        assert "000000" not in str(error.value)
    assert not (tmp_path / "e").exists()
    estimate(shop("data.reviews=null"), tmp_path / "e")  # the ledger alone needs no key
    monkeypatch.setenv(KEY_VARIABLE, kept)
    estimate(config, tmp_path / "e")
    monkeypatch.delenv(KEY_VARIABLE)
    assert "Accepted the key" in accept_new_key(config).notes[0]
    estimate(config, tmp_path / "e")
    assert "nothing changed" in accept_new_key(config).notes[0]


def test_the_key_is_where_the_config_says(shop, made, tmp_path):
    config = shop(f"reviewers.key={tmp_path}/secret/people.key")
    ingest(config, str(made / "reviews.parquet"))
    assert find_key(tmp_path / "secret" / "people.key", {}) is not None
    assert not (tmp_path / "m" / "reviewers.salt").exists()
    (tmp_path / "secret" / "people.key").write_text("short")
    with pytest.raises(ConfigError, match="must hold 64 hexadecimal digits, got 5 bytes"):
        ingest(config, str(made / "reviews.parquet"))


def test_an_old_ledger_gets_pseudonyms_at_the_first_run(shop, made, tmp_path, monkeypatch):
    config = shop()
    upgrade = schema_upgrade.command.upgrade
    with monkeypatch.context() as patched:  # as the version before made it
        old = lambda config, to: upgrade(config, min(to, "0003"))  # noqa: E731
        patched.setattr(schema_upgrade.command, "upgrade", old)
        open_ledger(config.ledger_url()).engine.dispose()
    engine = open_engine(config.ledger_url())
    values = ", ".join(
        f"('r{i}', '2026-02-01 00:00:00', 'd{i}', '2026-02-01 00:00:00', 'audit', 'upheld', "
        f"'{MARK}{i % 3}', '2026-02-02 00:00:00')"
        for i in range(400)
    )
    columns = (
        "review_id, known_at, decision_id, reviewed_at, source, verdict, reviewer_id, ingested_at"
    )
    with write_transaction(engine) as connection:
        connection.execute(text(f"INSERT INTO errdetect_reviews ({columns}) VALUES {values}"))
    engine.dispose()
    file = tmp_path / "l.db"
    file.chmod(0o644)
    assert b"Qvist" in _bytes_below(tmp_path)
    with open_ledger(config.ledger_url()) as ledger:  # without the key it can be read
        assert ledger.reviews()["reviewer_id"].nunique() == 3
    with open_project_ledger(config) as ledger:
        names = ledger.reviews()["reviewer_id"]
        events = ledger.history("key")
    assert is_pseudonym(names).all()
    assert names.nunique() == 3
    assert events["note"].tolist() == ["3 reviewers of an earlier version got pseudonyms"]
    assert b"Qvist" not in _bytes_below(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert find_reviewer(config, f"{MARK}1").n_recorded == 133
