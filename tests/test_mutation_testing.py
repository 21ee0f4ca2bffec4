"""tools/mutation_testing.py: which changes it makes to a file."""

import importlib.util

import pytest

SOURCE = '''"""Doc: 1 < 2."""

def rate(n: int = 3, *, names: "tuple[int, ...]" = ()) -> float:
    """Return 1 - 2."""
    if not n or n >= 4 and "é" in names:
        return None
    text = "a" + f"{n}"
    return max(n - 1, 0.5) * len(text)
'''


@pytest.fixture(scope="module")
def tool(repo):
    spec = importlib.util.spec_from_file_location(
        "mutation_testing", repo / "tools/mutation_testing.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def changes(tool, tmp_path):
    file = tmp_path / "source.py"
    file.write_text(SOURCE, encoding="utf-8")
    return tool.mutants_of(file)


def test_every_kind_of_change_is_made_once_and_nothing_else(changes):
    found = {(one.line, one.before, one.after) for one in changes}
    assert found == {
        (3, "3", "4"),
        (5, "not n", "(n)"), (5, "or", "and"), (5, ">=", ">"), (5, ">=", "<"), (5, "4", "5"),
        (5, "and", "or"), (5, "in", "not in"),
        (8, "max(n - 1, 0.5) * len(text)", "None"), (8, "max", "min"), (8, "-", "+"), (8, "1", "2"),
        (8, "0.5", "0.75"), (8, "*", "/"),
    }  # fmt: skip
    assert len(changes) == len(found)


def test_a_change_replaces_its_own_text_only(changes):
    for one in changes:
        assert SOURCE[one.start : one.end] == one.before
        changed = one.apply(SOURCE)
        assert changed != SOURCE
        assert len(changed) - len(SOURCE) == len(one.after) - len(one.before)
        compile(changed, "changed", "exec")


def test_the_tests_of_a_file_are_its_doctests_and_those_that_name_it(tool, repo):
    near, wide = tool.tests_of(tool.Path("src/errdetect/stats/intervals.py"))
    assert near == ["src/errdetect/stats/intervals.py", "tests/stats/test_intervals.py"]
    assert wide[0] == "tests/stats"
    assert all((repo / path).exists() for path in (*near, *wide))
