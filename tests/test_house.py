"""The house's own rules: names, sizes, where outside packages may be known."""

import ast
import importlib
import pkgutil
import subprocess
import sys

import pytest

import errdetect

MODULES = sorted(m.name for m in pkgutil.walk_packages(errdetect.__path__, "errdetect."))
#: Outside package -> the files, or starts of their paths, that may know it.
ONLY_IN = {
    "mlflow": ("errdetect/model/registry.py", "errdetect/model/mlflow_session.py"),
    "optuna": ("errdetect/model/tuning.py",),
    "sqlalchemy": ("errdetect/ledger/", "errdetect/data/database_"),
    "alembic": ("errdetect/ledger/",),
    "psycopg": ("errdetect/ledger/", "errdetect/data/database_"),
    "shap": ("errdetect/explanations/contributions.py",),
}


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_listed(name):
    module = importlib.import_module(name)
    own = {
        n
        for n, v in vars(module).items()
        if getattr(v, "__module__", None) == name and not n.startswith("_")
    }
    listed = set(getattr(module, "__all__", ()))
    assert all(hasattr(module, n) for n in listed)
    if ".cli" not in name:
        used_elsewhere = own - listed
        assert not used_elsewhere, f"public but not listed in __all__: {used_elsewhere}"


def test_outside_packages_are_known_in_one_place(repo):
    for package, places in ONLY_IN.items():
        users = [
            path.relative_to(repo / "src").as_posix()
            for path in sorted((repo / "src").rglob("*.py"))
            if any(package in names for names in _imports(path.read_text(encoding="utf-8")))
        ]
        assert all(user.startswith(places) for user in users), package
        assert users or package == "psycopg"


def test_files_stay_livable(repo):
    # What changes together stands together, but a file can be read in one go.
    long = {
        p.name: n
        for p in (repo / "src").rglob("*.py")
        if (n := len(p.read_text(encoding="utf-8").split("\n"))) > 701
    }
    assert not long


def test_nothing_is_pickled(repo):
    for path in (repo / "src").rglob("*.py"):
        names = {
            name for imported in _imports(path.read_text(encoding="utf-8")) for name in imported
        }
        assert not names & {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}, path


def test_help_is_quick():
    """At most half a second of work; the best of three, so that a busy machine does not decide."""
    import resource

    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        shown = subprocess.run(
            [sys.executable, "-m", "errdetect", "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert "errdetect demo" in shown.stdout
    assert min(spent) < 0.5


def test_help_loads_no_room():
    names = ("pandas", "numpy", "sqlalchemy", "lightgbm", "mlflow")
    code = f"import sys, errdetect.cli; print([m for m in {names} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_scoring_loads_only_what_it_needs():
    heavy = ("mlflow", "shap", "matplotlib", "optuna", "numba", "fastapi", "torch", "pyspark")
    loads = "import errdetect.workflows.score, errdetect.workflows.result_summaries"
    code = f"import sys; {loads}; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def _imports(text: str) -> list[set[str]]:
    out = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            out.append({alias.name.split(".")[0] for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module:
            out.append({node.module.split(".")[0]})
    return out
