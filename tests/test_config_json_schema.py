"""The JSON Schema that editors read accepts what `load_config` accepts."""

import json
import re

import pytest
import yaml
from typer.testing import CliRunner

from errdetect.cli import app
from errdetect.config import Config

jsonschema = pytest.importorskip("jsonschema")


class Yaml12(yaml.SafeLoader):
    """YAML 1.2, as editors read it: `off` is a word."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in found if tag != "tag:yaml.org,2002:bool"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


@pytest.fixture(scope="module")
def schema():
    done = CliRunner().invoke(app, ["config-schema"])
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_every_config_of_the_repository_is_valid(repo, schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in sorted((repo / "configs").glob("*.yaml")):
        values = yaml.load(path.read_text(encoding="utf-8"), Yaml12)
        jsonschema.validate(values, schema)


@pytest.mark.parametrize(
    "change",
    [
        {"trian": {}},
        {"train": {"trials": -1}},
        {"queue": {"budget": "x"}},
        {"base": "/"},
        {"version": 2},
    ],
)
def test_what_the_reader_refuses_is_invalid(schema, change):
    good = {"version": 1, "data": {"decisions": "d.parquet"}}
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, **change}, schema)


def test_every_section_is_described(schema):
    sections = set(Config.model_fields) - {"base", "file", "overrides"}
    assert set(schema["properties"]) == sections
