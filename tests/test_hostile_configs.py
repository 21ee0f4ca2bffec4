"""Configs that are broken or hostile: one message, quickly, and no password in it."""

import time

import pytest
import yaml
from typer.testing import CliRunner

from errdetect.cli import app
from errdetect.config import load_config
from errdetect.data.policy_catalogue import read_policies
from errdetect.data.sources import find_files
from errdetect.errors import ConfigError, DataError, ErrdetectError, mask_secrets
from errdetect.explanations.reason_templates import load_templates
from errdetect.yaml_files import YamlFault, parse_yaml

SECRET = "S3CR3Tpw"
URL = f"postgresql://ana:{SECRET}@db.example/shop"
FORMS = {
    "plain": URL,
    "special": f"postgresql://ana:{SECRET}@/x:{SECRET}@db.example/shop",
    "a space": f"postgresql://ana:{SECRET} {SECRET}@db.example/shop",
    "an option": f"postgresql://db.example/shop?sslpassword={SECRET}",
    "no host": f"postgresql://ana:{SECRET}@",
    "long": f"postgresql://ana:{SECRET}{'x' * 90}{SECRET}@db.example/shop",
    "upper case": f"POSTGRESQL+psycopg2://ana:{SECRET}@db/shop",
}
BASE = "version: 1\ndata: {decisions: d.parquet}\n"
SHAPES = {
    "ledger": "ledger: {url!r}\n",
    "list": "ledger: [{url!r}]\n",
    "nested list": "ledger: {{url: [{url!r}]}}\n",
    "map": "ledger: {{url: {{x: {url!r}}}}}\n",
    "key": "ledger: {{{url!r}: 1}}\n",
    "unknown": "leger: {url!r}\n",
    "repeated": "{url!r}: 1\n{url!r}: 2\n",
    "repeated key": "ledger: {{url: {url!r}, url: {url!r}}}\n",
    "broken line": "ledger:\n  url: {url}\n   x: [\n",
    "broken quote": "ledger: {{url: '{url}}}\n",
    "tab": "ledger:\n\turl: {url}\n",
    "anchor": "ledger: *{url}\n",
    "tag": "ledger: !<{url}> x\n",
    "policies": "data: {{decisions: d.parquet, policies: {url!r}}}\n",
    "folder": "data: {{decisions: d.parquet, folder: {url!r}}}\n",
    "source": "data: {{decisions: {{url: {url!r}}}}}\n",
    "source twice": "data: {{decisions: {{url: {url!r}, table: t, query: SELECT 1}}}}\n",
    "number": "train: {{trials: {url!r}}}\n",
    "path": "registry: {{path: {url!r}}}\n",
    "words": "report: {{words: {url!r}}}\n",
    "column": "data: {{decisions: d.parquet, columns: {{{url!r}: [1]}}}}\n",
    "action": "data: {{decisions: d.parquet, actions: {{{url!r}: {url!r}}}}}\n",
}
ARGUMENTS = [
    "ledger={url}", "ledger.url.x={url}", "{url}", "{url}=1", "ledger.{url}=1", "ledger.url=[{url}",
    "data.decisions={url}", "data.decisions=[{url}]", "x={url}", "ledger.url='{url}", "=",
]  # fmt: skip


def _shown(path, *overrides):
    """All that the command prints on validating it."""
    arguments = [part for one in overrides for part in ("--set", one)]
    result = CliRunner().invoke(app, ["validate", str(path), *arguments])
    assert result.exit_code != 0
    told = f"{result.output}{result.stderr}{result.exception}"
    assert result.exception is None or isinstance(result.exception, ErrdetectError | SystemExit), (
        repr(result.exception)
    )
    return told


@pytest.mark.parametrize("form", FORMS)
def test_no_shape_of_a_config_shows_a_password(tmp_path, form):
    path = tmp_path / "config.yaml"
    for shape, text in SHAPES.items():
        own = "" if text.startswith("data") else BASE
        own = "version: 1\n" if text.startswith("data") else own
        path.write_text(own + text.format(url=FORMS[form]))
        assert SECRET not in _shown(path), shape


@pytest.mark.parametrize("form", FORMS)
def test_no_argument_shows_a_password(tmp_path, form):
    path = tmp_path / "config.yaml"
    path.write_text(BASE)
    for argument in ARGUMENTS:
        assert SECRET not in _shown(path, argument.format(url=FORMS[form])), argument


def test_what_stands_before_an_at_sign_in_a_key_is_masked(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(BASE)
    assert SECRET not in _shown(path, f"queue.pool{SECRET}@db/shop.spam=0.02")


def test_a_password_of_the_config_is_masked_wherever_it_occurs(tmp_path):
    (tmp_path / "c.yaml").write_text(BASE + "ledger: {url: 'postgresql://u:o$ther.Pw@h/db'}\n")
    load_config(tmp_path / "c.yaml").ledger_url()
    assert str(DataError("the driver says: o$ther.Pw is wrong")) == "the driver says: *** is wrong"
    assert mask_secrets("another$ther.Pw2") == "another$ther.Pw2"


def _nine_levels():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return "\n".join(levels)


BOMBS = {
    "aliases": _nine_levels(),
    "circle": "a: &a [*a]",
    "map in itself": "a: &a {b: *a}",
    "date": "labels: {as_of: 2025-02-30}",
    "time": "labels: {as_of: 2025-01-01 25:61:00}",
    "integer": "a: !!int abc",
    "float": "a: !!float x",
    "binary": "a: !!binary '@'",
    "digits": "train: {trials: " + "9" * 4400 + "}",
    "hexadecimal": "train: {trials: 0x" + "f" * 5000 + "}",
    "sexagesimal": "train: {trials: 1" + ":59" * 3000 + "}",
    "braces": "{" * 5000,
    "brackets": "a: " + "[" * 5000 + "]" * 5000,
    "dashes": "- " * 5000 + "x",
    "indents": "\n".join(" " * n + "a:" for n in range(400)),
    "nul": 'data: {decisions: d.parquet, folder: "a\\0b"}',
    "nul source": 'data: {decisions: "a\\0b"}',
    "long words": "report: {words: " + "w" * 100_000 + "}",
    "long path": "data: {decisions: " + "d/" * 50_000 + "}",
    "root": "data: {decisions: /}",
    "root pattern": "data: {decisions: '/**/*.parquet'}",
    "root dots": "data: {decisions: '/tmp/../'}",
    "surrogate": 'data: {decisions: "\\ud800.csv"}',
    "infinite": "remediation: {whitelist: {days: .inf}}",
    "not a number": "data: {decisions: d, max_rejected: .nan}",
    "null": "data: null",
    "list as key": "? [a, b]\n: c",
    "python": "a: !!python/object/apply:os.system ['true']",
    "merge": "<<: 3",
    "set": "data: !!set {a, b}",
    "pairs": "data: !!omap [a: 1]",
    "byte order": "\ufeff\ufeffa: 1",
    "two documents": "a: 1\n---\nb: 2",
    "bad pattern": "data: {decisions: 'a[', reviews: '**x/[', draws: '[!'}",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_config_breaks_or_hangs(tmp_path, bomb):
    path = tmp_path / "config.yaml"
    text = BOMBS[bomb]
    lead = "" if bomb in ("braces", "dashes", "two documents", "byte order") else "version: 1\n"
    lead += "" if text.startswith("data") or not lead else "data: {decisions: d.parquet}\n"
    path.write_text(lead + text, encoding="utf-8", errors="surrogatepass")
    start = time.perf_counter()
    told = _shown(path)
    assert time.perf_counter() - start < 10
    assert "Traceback" not in told
    for override in (f"data={text}", f"report.words={text}"):
        with pytest.raises(ErrdetectError):
            find_files(load_config(path, [override]).data_paths("d.parquet"))


@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_no_catalogue_and_no_words_break(tmp_path, bomb):
    path = tmp_path / "file.yaml"
    path.write_text(BOMBS[bomb], encoding="utf-8", errors="surrogatepass")
    for read in (read_policies, load_templates):
        with pytest.raises(ConfigError):
            read(path)


def test_aliases_that_repeat_little_are_fine():
    assert parse_yaml("a: &a [1, 2]\nb: *a") == {"a": [1, 2], "b": [1, 2]}
    text = yaml.safe_dump({"list": list(range(2000)), "deep": {"a": {"b": [{"c": 1}]}}})
    assert parse_yaml(text) == yaml.safe_load(text)
    with pytest.raises(YamlFault, match=r"the key 'a' occurs twice \(line 2, column 1\)"):
        parse_yaml("a: 1\na: 2")
    with pytest.raises(YamlFault, match=r"a value that is no 'timestamp' \(line 1, column 4\)"):
        parse_yaml("a: 2025-02-30")
