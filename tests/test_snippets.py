"""Every snippet of the how-to and reference pages, run in order of the pages on one simulated marketplace.

The tutorial and the README have a test of their own, and so has docs/python.md: tests/test_tutorial.py,
tests/test_python_interface.py.
"""

import ast
import re
import shlex
import sys

import openpyxl
import pandas as pd
import pytest
import yaml

from errdetect.cli import main
from errdetect.config import load_config
from errdetect.ledger.ledger import open_ledger
from errdetect.workflows.load_data import load_snapshot

FENCE = re.compile(r"^```(sh|python)\n(.*?)^```", re.M | re.S)
YAML = re.compile(r"^```yaml\n(.*?)^```", re.M | re.S)
HOW_TO = ("ml-engineer", "queue-system", "policy-analyst", "quality-manager")
#: Pages whose snippets another test runs.
ELSEWHERE = ("python.md", "tutorial.md")
#: What no small test can run: the words of the line, and what shows it instead. Each must be shown on a page.
NOT_RUN = {
    "pip install": "tests/test_distribution.py",
    "python benchmarks/": "hours; tests/test_benchmarks.py",
    "mlflow models": "a server; tests/workflows/test_serving.py",
    "mlflow server": "the same",
    "errdetect serve": "the same",
    "registry.uri": "that server",
    "curl": "the same",
    "--decisions 100000": "minutes; the how-tos simulate fewer",
    "postgresql://": "a server of the reader's",
    "--engine spark": "Java; tests/spark",
    "from airflow": "not installed: compiled only",
    "from prefect": "the same",
    "mlflow.pyfunc": "a registry of its own, and Java; tests/workflows/test_serving.py",
}
#: Settings that make a small example fast; what they change is not shown on the pages.
QUICK = {"train": ["--set", "train.trials=0", "--set", "evaluate.bootstrap=50"]}


def _blocks(page):
    return FENCE.findall(page.read_text(encoding="utf-8"))


def _not_run(text):
    return next((words for words in NOT_RUN if words in text), None)


def _lines(snippet):
    """Return the commands of a shell snippet; one may go on until its quotes are closed."""
    held = ""
    for line in snippet.splitlines():
        held += line + "\n"
        try:
            words = shlex.split(held, comments=True)
        except ValueError:
            continue
        if words:
            yield held.strip(), words
        held = ""
    assert not held.strip(), held


class Reader:
    """Runs what the pages show, in one folder, as somebody who reads them in order."""

    def __init__(self, folder, monkeypatch, capsys):
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        self.done: set[str] = set()
        self.left_out: set[str] = set()
        self.names: dict[str, str] = {}  # the pages' example ids -> those of this marketplace
        self.page_names: dict[object, dict[str, object]] = {}

    def block(self, page, kind, snippet):
        if kind == "python":
            words = _not_run(snippet)
            if words is not None:
                self.left_out.add(words)
                ast.parse(snippet)
                return
            if page not in self.page_names:
                self.page_names[page] = self.variables(page)
            exec(compile(snippet, page.name, "exec"), self.page_names[page])
            return
        for line, words in _lines(snippet):
            left = _not_run(line)
            if left is not None:
                self.left_out.add(left)
            elif line not in self.done:
                self.done.add(line)
                self.line(page, line, words)

    def line(self, page, line, words):
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.monkeypatch.setenv(name, value.replace("$PWD", str(self.folder)))
            return
        prepare(self, words)
        words = [self.names.get(one, one) for one in words]
        if words[0] == "python":
            self.monkeypatch.setattr(sys, "argv", words[1:])
            exec(compile((self.folder / words[1]).read_text(), words[1], "exec"), {"__name__": "x"})
            return
        assert words[0] == "errdetect", f"{page.name}: {line}"
        self.monkeypatch.setattr(sys, "argv", words + QUICK.get(words[1], []))
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capsys.readouterr()
        shown = re.search(r"reviewer-[0-9a-f]{12}", said.out)
        if shown is not None:
            self.names["reviewer-a73f7456b484"] = shown[0]
        allowed = (0, 1) if "exit status 1" in line else (0, None)
        assert ended.value.code in allowed, f"{page.name}: {line}\n{said.out[-2000:]}\n{said.err}"

    def variables(self, page):
        """Return the names that pages use without saying so: the marketplace's tables."""
        if page.parent.name == "how-to":
            return {}
        market = self.folder / "market"
        known = load_snapshot(load_config(market / "config.yaml"), progress=lambda _: None).snapshot
        moment = known.decisions["decided_at"].max()
        return {
            "decisions": known.decisions, "reviews": known.reviews, "policies": known.policies,
            "moment": moment, "earlier": moment - pd.Timedelta(days=20),
            "ledger": open_ledger(f"sqlite:///{market}/errdetect.db"),
        }  # fmt: skip


def prepare(reader, words):
    """Make what a page says that people bring: filled-in forms, finished reviews; and find its example ids."""
    market, names = reader.folder / "market", reader.names
    if words[1] in ("reviewer", "forget") and "r17" not in names:
        people = pd.read_parquet(market / "reviews.parquet")["reviewer_id"].dropna()
        names["r17"] = people.iloc[0]
        names["a3"] = pd.read_parquet(market / "decisions.parquet")["account_id"].iloc[0]
    if words[1] == "proposals" and "P-1f2e3d4c5b" in words:
        with open_ledger(f"sqlite:///{market}/errdetect.db") as ledger:
            ledger.add_proposals(pd.DataFrame({"proposal_id": ["P-0000000001", "P-0000000002"]}))
        names["P-1f2e3d4c5b"] = "P-0000000002" if "--reject" in words else "P-0000000001"
    for form, answer in (("ana", "ballots"), ("bo", "ballots"), ("rulings", "rulings"),
                         ("ana-after", "ballots"), ("bo-after", "ballots")):  # fmt: skip
        if f"{form}.xlsx" in words:
            fill(reader.folder / "session" / f"{answer}.xlsx", reader.folder / f"{form}.xlsx", form)
    if "finished.csv" in words:
        queue = pd.read_parquet(reader.folder / "queue" / "queue.parquet")
        pd.DataFrame(
            {"review_id": ["c1"], "decision_id": queue["decision_id"].iloc[:1],
             "reviewed_at": "2027-01-02T10:00Z", "source": "re_review", "verdict": "overturned"}
        ).to_csv(reader.folder / "finished.csv", index=False)  # fmt: skip


def fill(form, place, name):
    """Fill in a form as a person would, with a spreadsheet program."""
    book = openpyxl.load_workbook(form)
    sheet = book.worksheets[0]
    columns = [one.value for one in sheet[1]]
    answers = {"verdict": "upheld", "ruling": "upheld", "reviewer_id": name[:3], "decided_by": "Eva",
               "reason": "the clause says so"}  # fmt: skip
    for row in range(2, sheet.max_row + 1):
        for column in answers.keys() & set(columns):
            sheet.cell(row, columns.index(column) + 1).value = answers[column]
    book.save(place)


@pytest.mark.slow
def test_every_snippet_of_the_pages_runs(tmp_path, repo, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path, monkeypatch, capsys)
    pages = [repo / f"docs/how-to/{name}.md" for name in HOW_TO]
    pages += [page for page in sorted((repo / "docs").glob("*.md")) if page.name not in ELSEWHERE]
    assert {page.stem for page in (repo / "docs/how-to").glob("*.md")} == set(HOW_TO)
    for page in pages:
        for kind, snippet in _blocks(page):
            reader.block(page, kind, snippet)
    assert (tmp_path / "report" / "report.html").exists()
    assert (tmp_path / "plan" / "plan.parquet").exists()
    assert reader.left_out == set(NOT_RUN), "an exception that no page needs"


def test_every_config_that_is_shown_is_valid(tmp_path, repo, monkeypatch):
    for name in ("LEDGER_PASSWORD", "DB_PASSWORD"):
        monkeypatch.setenv(name, "x")
    shown = [(page, block) for page in sorted((repo / "docs").rglob("*.md"))
             for block in YAML.findall(page.read_text(encoding="utf-8"))]  # fmt: skip
    assert len(shown) >= 9
    for page, block in shown:
        held = {"version": 1, **yaml.safe_load(block)}
        held["data"] = {"decisions": "d.csv", "reviews": "r.csv", **held.get("data", {})}
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(held), encoding="utf-8")
        assert load_config(tmp_path / "c.yaml").version == 1, page.name
