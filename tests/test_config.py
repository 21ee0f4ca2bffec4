import re
import runpy
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from errdetect.config import PRESETS, Config, load_config
from errdetect.errors import ConfigError

MINIMAL = "version: 1\ndata: {decisions: d.parquet, reviews: r.parquet}\n"


@pytest.fixture
def write(tmp_path):
    def put(text: str) -> Path:
        place = tmp_path / "config.yaml"
        place.write_text(text, encoding="utf-8")
        return place

    return put


def faults(path, *overrides) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_config(path, overrides)
    return error.value.faults


def test_three_lines_are_enough(write, tmp_path):
    config = load_config(write(MINIMAL))
    assert config.data_paths(config.data.decisions) == [str(tmp_path / "d.parquet")]
    assert config.path(config.registry.path) == tmp_path / "models"


def test_every_fault_is_told_at_once(write):
    told = faults(
        write(
            "version: 2\ndata: {decision: d}\ntrain: {trials: -1, parts: [0.5, 0.5, 0.5]}\nqueue: {budget: 0}\n"
        )
    )
    assert len(told) == 6
    text = "\n".join(told)
    assert "data.decision is not a key of the config. Did you mean 'data.decisions'?" in text
    assert "data.decisions is missing." in text
    assert "train.trials: input should be greater than or equal to 0, got -1." in text
    assert "train.parts: must add up to 1, got 1.5." in text
    assert "version: input should be 1, got 2." in text
    assert "queue.budget:" in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must hold keys and values, got an empty file"),
        ("- a\n- b", "must hold keys and values, got a list"),
        ("version: 1\nversion: 1", "the key 'version' occurs twice"),
        ("a: [", "must be YAML in UTF-8"),
    ],
)
def test_unreadable_files(write, text, says):
    assert says in faults(write(text))[0]


def test_missing_file(tmp_path):
    assert "must be a file, got" in faults(tmp_path / "none.yaml")[0]


def test_overrides(write):
    config = load_config(
        write(MINIMAL), ["train.trials=50", "data.actions={block: enforce}", "queue.budget=0.2"]
    )
    assert (config.train.trials, config.queue.budget, config.data.actions) == (
        50,
        0.2,
        {"block": "enforce"},
    )
    assert faults(write(MINIMAL), "train.trials") == [
        "--set must look like key.key=value, got 'train.trials'. Write --set train.trials=50."
    ]
    assert "must name a key below 'version'" in faults(write(MINIMAL), "version.x=1")[0]
    assert "Did you mean 'train.trials'?" in faults(write(MINIMAL), "train.trails=1")[0]


def test_environment_in_paths(write, monkeypatch):
    path = write("version: 1\ndata: {folder: '${PLACE}/x', decisions: d.csv}")
    monkeypatch.setenv("PLACE", "/data")
    assert load_config(path).data_paths("d.csv") == ["/data/x/d.csv"]
    monkeypatch.delenv("PLACE")
    with pytest.raises(ConfigError, match="environment variable PLACE must be set, got nothing"):
        load_config(path).data_paths("d.csv")


def test_the_annotated_config_states_the_true_defaults(repo):
    stated = yaml.safe_load((repo / "configs/base.yaml").read_text(encoding="utf-8"))
    config = load_config(repo / "configs/base.yaml")
    default = Config(version=1, data={"decisions": "decisions.parquet"})
    assert _keys(stated) == _keys(default.model_dump(exclude={"base"}))
    for section in set(stated) - {"version", "data"}:
        assert getattr(config, section) == getattr(default, section), section


def test_the_annotated_config_is_generated(repo):
    text = (repo / "configs/base.yaml").read_text(encoding="utf-8")
    tool = runpy.run_path(str(repo / "tools/make_config.py"))
    assert tool["make"](text) == text, "run python tools/make_config.py"
    stale = text.replace("trials: 12 ", "trials: 13 ").replace("  max_age_days", "  no_such_key")
    made = yaml.safe_load(tool["make"](stale))
    assert (made["train"]["trials"], made["state"]["max_age_days"]) == (12, 3.0)
    assert "no_such_key" not in made["state"]


def test_a_preset_changes_defaults_only(write):
    small, large = (load_config(write(f"{MINIMAL}preset: {n}\n")) for n in ("small", "large"))
    assert (small.train.trials, small.evaluate.bootstrap) == (0, 1000)
    assert (large.train.trials, large.report.explained, large.evaluate.bootstrap) == (6, 200, 200)
    own = load_config(write(f"{MINIMAL}preset: small\ntrain: {{seed: 7, trials: 3}}\n"))
    assert (own.train.seed, own.train.trials, own.evaluate.bootstrap) == (7, 3, 1000)
    said = load_config(write(MINIMAL), ["preset=large", "train.trials=2"])
    assert (said.train.trials, said.report.explained) == (2, 200)
    assert (
        "preset: input should be 'small', 'default' or 'large'"
        in faults(write(MINIMAL), "preset=huge")[0]
    )
    assert faults(write(f"{MINIMAL}preset: [small]\n"))
    assert "train: input should" in faults(write(f"{MINIMAL}preset: small\ntrain: 3\n"))[0]


def test_the_presets_are_explained_with_what_they_change(repo):
    text = (repo / "configs/README.md").read_text(encoding="utf-8")
    for name, sections in PRESETS.items():
        assert f"| `{name}` |" in text
        for section, settings in sections.items():
            for key, value in settings.items():
                assert f"`{section}.{key}: {value}`" in text


def test_every_config_of_the_repository_loads(repo):
    for path in sorted((repo / "configs").glob("*.yaml")):
        assert load_config(path).version == 1


def test_every_key_says_what_it_is(repo):
    """A key is described in code or in the annotated config."""
    text = (repo / "configs/base.yaml").read_text(encoding="utf-8")
    for section in ("labels", "features", "train", "evaluate", "gate", "queue", "reviewers"):
        model = Config.model_fields[section].annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        for name in model.model_fields:
            assert re.search(rf"^  {name}:", text, re.M), name


def _keys(value: object, prefix: str = "") -> set[str]:
    if not isinstance(value, dict) or not value:
        return {prefix}
    return {key for name, below in value.items() for key in _keys(below, f"{prefix}.{name}")}
