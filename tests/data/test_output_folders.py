"""Output folders: old or new at every moment, foreign entries kept, litter of the dead swept."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from errdetect.data import output_folders
from errdetect.data.atomic_writing import stage_outputs, write_files, write_text
from errdetect.data.output_folders import (
    hold_stage,
    hold_temporary_folder,
    sweep_litter,
    temporary_name,
)
from errdetect.data.provenance import Provenance
from errdetect.errors import DataError

#: Runs a commit in a forked child that is killed at the n-th call of the system, until one survives.
KILLER = """
import os, signal, sys, json
from pathlib import Path
from errdetect.data.atomic_writing import stage_outputs, write_text
from errdetect.data import output_folders

out, how = Path(sys.argv[1]), sys.argv[2]
if how == "moves":
    output_folders._exchange_folders = lambda *_: False

def commit(word):
    with stage_outputs(out) as stage:
        for name in ("a.txt", "b.txt", "tables/t.txt", "briefs/b.txt"):
            write_text(stage / name, word)

def content():
    return {str(p.relative_to(out)): p.read_text() for p in sorted(out.rglob("*")) if p.is_file()}

commit("old")
write_text(out / "foreign" / "kept.txt", "kept")
write_text(out / "kept.txt", "kept")
states, n = [], -2
while True:
    n += 3
    if (child := os.fork()) == 0:
        left = n
        def hook(event, _):
            global left
            if event.split(".")[0] in ("os", "shutil", "ctypes", "open", "fcntl"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        commit("new")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    first = content()
    with stage_outputs(out) as stage:  # the next run, which sweeps, and then says nothing new
        after = content()
    litter = [p.name for p in [*out.parent.iterdir(), *out.rglob("*")] if p.name.startswith(".")]
    states.append((first, after, litter))
    if os.WIFEXITED(status):
        break
    commit("old")
print(json.dumps(states))
"""


def _kill_everywhere(tmp_path, how):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLER), str(tmp_path / "out"), how],
        capture_output=True, text=True, timeout=150, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def _words(content):
    return {word for name, word in content.items() if not name.endswith("kept.txt")}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_point_leaves_the_old_or_the_new(tmp_path):
    states = _kill_everywhere(tmp_path, "exchange")
    assert len(states) > 15
    for first, after, litter in states:
        assert len(first) == len(after) == 6
        assert len(_words(first)) == len(_words(after)) == 1, first
        assert {first["kept.txt"], first["foreign/kept.txt"]} == {"kept"}
        assert litter == []
    assert {"old", "new"} == {word for first, *_ in states for word in _words(first)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_without_an_exchange_the_next_run_finishes_what_was_complete(tmp_path):
    states = _kill_everywhere(tmp_path, "moves")
    assert len(states) > 15
    for _, after, litter in states:
        assert len(after) == 6
        assert len(_words(after)) == 1, after
        assert after["foreign/kept.txt"] == "kept"
        assert litter == []


def test_the_stage_of_a_living_process_is_never_swept(tmp_path):
    dead = temporary_name(tmp_path)
    dead.mkdir()
    (dead / "x").write_text("x")
    with hold_stage(tmp_path / "one") as first:
        write_text(first.path / "a.txt", "first")
        with stage_outputs(tmp_path / "two") as second:
            write_text(second / "a.txt", "second")
        assert (first.path / "a.txt").read_text() == "first"
        assert not dead.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]


def test_names_that_are_not_ours_are_never_swept(tmp_path):
    own = [".errdetect-notes.tmp", ".other.12345678.tmp", ".errdetect-0123456789abcdef", "a.tmp"]
    for name in own:
        (tmp_path / name).write_text("mine")
    with stage_outputs(tmp_path / "out") as stage:
        write_text(stage / "a.txt", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*own, "out"])


def test_litter_of_earlier_versions_is_swept_when_it_is_old(tmp_path):
    (tmp_path / "out").mkdir()
    for name, age in ((".out.abcd_123.tmp", 2e5), (".out.abcd_124.tmp", 0)):
        (tmp_path / name).mkdir()
        moment = tmp_path.stat().st_mtime - age
        os.utime(tmp_path / name, (moment, moment))
    with stage_outputs(tmp_path / "out"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.abcd_124.tmp", "out"]


@pytest.mark.parametrize("how", ["exchange", "moves"])
@pytest.mark.parametrize("folder_stands", [True, False])
def test_an_entry_of_another_kind_is_refused_and_kept(tmp_path, monkeypatch, how, folder_stands):
    if how == "moves":
        monkeypatch.setattr(output_folders, "_exchange_folders", lambda *_: False)
    out = tmp_path / "out"
    write_text(out / "report" / "mine.txt" if folder_stands else out / "report", "mine")

    def run():
        with stage_outputs(out) as stage:
            write_text(stage / "a.txt", "new")
            write_text(stage / "report" if folder_stands else stage / "report" / "r.txt", "new")

    kind = "a file, got a folder" if folder_stands else "a folder, got a file"
    with pytest.raises(DataError, match=f"out/report must be {kind}. Move it away"):
        run()
    assert [p.read_text() for p in out.rglob("*") if p.is_file()] == ["mine"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_links_rights_and_late_entries_go_along(tmp_path):
    out = tmp_path / "out"
    write_text(out / "a.txt", "old")
    write_text(out / "mine" / "deep" / "x.txt", "mine")
    (out / "link").symlink_to("mine")
    (out / "broken").symlink_to("nowhere")
    out.chmod(0o750)
    held = (out / "mine" / "deep" / "x.txt").stat().st_ino
    with stage_outputs(out) as stage:
        write_text(stage / "a.txt", "new")
        write_text(out / "late.txt", "late")
    assert (out / "a.txt").read_text() == "new"
    assert (out / "late.txt").read_text() == "late"
    assert (out / "mine" / "deep" / "x.txt").stat().st_ino == held
    assert (out / "link").is_symlink()
    assert (out / "broken").is_symlink()
    assert out.stat().st_mode & 0o777 == 0o750


def test_the_output_folder_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    for word in ("old", "new"):
        with stage_outputs(tmp_path / "out") as stage:
            write_text(stage / "a.txt", word)
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "new"


def test_a_folder_with_an_open_database_or_the_shell_within_stays_the_same_folder(
    tmp_path, monkeypatch
):
    data, here = tmp_path / "data", tmp_path / "here"
    (here / "below").mkdir(parents=True)
    data.mkdir()
    with sqlite3.connect(data / "ledger.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (x)")
    monkeypatch.chdir(here / "below")
    for out in (data, here):
        inode = out.stat().st_ino
        with stage_outputs(out) as stage:
            write_text(stage / "a.txt", "new")
        assert out.stat().st_ino == inode
        assert (out / "a.txt").read_text() == "new"
        assert not list(out.glob(".*"))
    database.execute("INSERT INTO t VALUES (1)")
    database.close()


def test_files_that_only_the_same_commands_former_run_wrote_go(tmp_path):
    out = tmp_path / "out"

    def run(command, *names):
        with stage_outputs(out, Provenance(command, "1")) as stage:
            for name in names:
                write_text(stage / name, command)

    run("score", "scores.txt", "rejects.txt", "edited.txt")
    (out / "edited.txt").write_text("by hand")
    run("estimate", "estimates.txt")
    assert (out / "rejects.txt").exists()
    run("score", "scores.txt", "rejects.txt", "edited.txt")
    (out / "edited.txt").write_text("by hand")
    run("score", "scores.txt", "edited.txt", "briefs/a.md", "plots/a.png")
    (out / "plots" / "own.png").write_text("mine")
    (out / "edited.txt").write_text("by hand")
    run("score", "scores.txt")
    names = ["edited.txt", "estimates.txt", "plots", "run.json", "scores.txt"]
    assert sorted(p.name for p in out.iterdir()) == names


@pytest.mark.parametrize("how", ["exchange", "moves", "killed"])
def test_a_later_run_may_write_a_file_where_a_former_wrote_a_folder(tmp_path, monkeypatch, how):
    """As `score` does: scores.parquet is a folder of parts on Spark, and a file on one machine."""
    if how != "exchange":
        monkeypatch.setattr(output_folders, "_exchange_folders", lambda *_: False)
    out = tmp_path / "out"

    def run(*names, command="score"):
        with stage_outputs(out, Provenance(command, "1")) as stage:
            for name in names:
                write_text(stage / name, f"{command} {name}")

    def killed(*names):
        """Die with the entry moved and the rest not; the next run finishes it."""
        move, moved = Path.replace, []

        def replace(path, place):
            if path.name == "run.json":
                raise KeyboardInterrupt
            moved.append(path.name)
            return move(path, place)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            with pytest.raises(KeyboardInterrupt):
                run(*names)
        sweep_litter(tmp_path)

    last = killed if how == "killed" else run
    folder, file = ("s.parquet/part-0", "s.parquet/part-1"), ("s.parquet",)
    for former, later in ((folder, file), (file, folder)):
        run(*former)
        last(*later)
        assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == {
            *later,
            "run.json",
        }
        assert set(json.loads((out / "run.json").read_text())["outputs"]) == set(later)
        assert [p.name for p in tmp_path.iterdir()] == ["out"]
    run(*file, command="another")
    assert (out / "s.parquet").read_text() == "another s.parquet"


@pytest.mark.parametrize("mine", ["s.parquet/own", "s.parquet/part-0"])
def test_a_folder_that_somebody_changed_is_not_replaced_by_a_file(tmp_path, mine):
    out = tmp_path / "out"
    with stage_outputs(out, Provenance("score", "1")) as stage:
        write_text(stage / "s.parquet" / "part-0", "ours")
    (out / mine).write_text("mine")
    with (
        pytest.raises(DataError, match=r"s\.parquet must be a file, got a folder"),
        stage_outputs(out, Provenance("score", "1")) as stage,
    ):
        write_text(stage / "s.parquet", "new")
    assert (out / mine).read_text() == "mine"


def test_two_that_write_at_once_leave_one_of_both(tmp_path):
    out = tmp_path / "out"
    script = (
        "import sys; from pathlib import Path\n"
        "from errdetect.data.atomic_writing import stage_outputs, write_text\n"
        "for _ in range(20):\n"
        "    with stage_outputs(Path(sys.argv[1])) as stage:\n"
        "        for name in 'abc': write_text(stage / name, sys.argv[2])\n"
    )
    write_text(out / "kept", "kept")
    pair = [subprocess.Popen([sys.executable, "-c", script, str(out), word]) for word in ("1", "2")]
    while any(process.poll() is None for process in pair):
        assert (out / "kept").read_text() == "kept"
    assert [process.returncode for process in pair] == [0, 0]
    assert len({(out / name).read_text() for name in "abc"}) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_may_not_be_written_to_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "access", lambda path, *_: Path(path).name != "out")
    with pytest.raises(DataError, match="out cannot be written: Permission denied"):  # noqa: SIM117
        with stage_outputs(tmp_path / "out"):
            raise AssertionError("the work began")


#: As KILLER, but with a single file that changes together with the folder.
PAIR_KILLER = """
import os, signal, sys, json
from pathlib import Path
from errdetect.data.atomic_writing import stage_outputs, write_text
from errdetect.data.provenance import Provenance

out, single = Path(sys.argv[1]), Path(sys.argv[2])

def commit(word):
    with stage_outputs(out, Provenance("x", "1", {"word": word}), {single: word}) as stage:
        write_text(stage / "a.txt", word)

commit("old")
states, n = [], -2
while True:
    n += 3
    if (child := os.fork()) == 0:
        left = n
        def hook(event, _):
            global left
            if event.split(".")[0] in ("os", "shutil", "ctypes", "open", "fcntl"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        commit("new")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    with stage_outputs(out.parent / "other"):  # any next run nearby
        pass
    with stage_outputs(single.parent / "other"):
        pass
    litter = [p.name for one in (out, single) for p in one.parent.rglob("*") if p.name.startswith(".")]
    states.append(((out / "a.txt").read_text(), single.read_text(), litter))
    if os.WIFEXITED(status):
        break
    commit("old")
print(json.dumps(states))
"""


FILES_KILLER = PAIR_KILLER.replace(
    """    with stage_outputs(out, Provenance("x", "1", {"word": word}), {single: word}) as stage:
        write_text(stage / "a.txt", word)
""",
    """    write_files({out / "a.txt": word.encode(), single: word.encode()}, [single])
""",
).replace("import stage_outputs, write_text", "import stage_outputs, write_files")
FILES_KILLER = FILES_KILLER.replace(
    'stage_outputs(out.parent / "other")', 'stage_outputs(out / "other")'
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_single_files_change_together(tmp_path):
    names = [tmp_path / "a" / "out", tmp_path / "b" / "s.csv"]
    command = [sys.executable, "-c", FILES_KILLER, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
    states = json.loads(done.stdout)
    assert len(states) > 10
    assert {(one, other) for one, other, _ in states} == {("old", "old"), ("new", "new")}
    assert [litter for *_, litter in states if litter] == []
    assert names[1].stat().st_mode & 0o777 == 0o600


def test_of_two_single_files_none_changes_where_one_cannot(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    write_files({one: b"old"})
    two.mkdir()
    with pytest.raises(DataError, match="two cannot be written: Is a directory"):
        write_files({one: b"new", two: b"new"})
    assert one.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]


def test_who_may_read_a_private_file(tmp_path):
    place = tmp_path / "p"
    write_files({place: b"1"}, [place])
    assert place.stat().st_mode & 0o777 == 0o600
    place.chmod(0o640)  # somebody lets the group read it
    write_files({place: b"2"}, [place])
    assert place.stat().st_mode & 0o777 == 0o640
    place.chmod(0o644)  # an earlier version's
    write_files({place: b"3"}, [place])
    assert (place.stat().st_mode & 0o777, place.read_bytes()) == (0o600, b"3")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_single_file_changes_together_with_its_folder(tmp_path):
    command = [sys.executable, "-c", PAIR_KILLER, tmp_path / "a" / "out", tmp_path / "b" / "s.csv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
    states = json.loads(done.stdout)
    assert len(states) > 20
    assert {(folder, file) for folder, file, _ in states} == {("old", "old"), ("new", "new")}
    assert [litter for *_, litter in states if litter] == []


def test_a_single_file_that_cannot_be_written_keeps_the_folder(tmp_path):
    out, single = tmp_path / "out", tmp_path / "single.csv"
    with stage_outputs(out, Provenance("x", "1"), {single: "old"}) as stage:
        write_text(stage / "a.txt", "old")
    single.unlink()
    single.mkdir()
    with (
        pytest.raises(DataError, match=r"single.csv cannot be written: Is a directory"),
        stage_outputs(out, Provenance("x", "1"), {single: "new"}) as stage,
    ):
        write_text(stage / "a.txt", "new")
    assert (out / "a.txt").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "single.csv"]


def test_a_single_file_within_the_folder_is_part_of_it(tmp_path):
    out = tmp_path / "out"
    with stage_outputs(out, Provenance("x", "1"), {out / "s.csv": "new"}):
        pass
    assert (out / "s.csv").read_text() == "new"
    assert "s.csv" in json.loads((out / "run.json").read_text())["outputs"]


def test_temporary_folders_of_the_dead_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary_name(tmp_path).mkdir()
    kept = tmp_path / "errdetect-notes"
    kept.mkdir()
    with hold_temporary_folder() as folder, hold_temporary_folder() as other:
        assert sorted(tmp_path.iterdir()) == sorted([kept, folder, other])
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_others_leave_in_a_shared_folder_neither_waits_nor_moves_files(tmp_path):
    """A note in a shared folder names files to replace: only one's own is believed."""
    os.mkfifo(temporary_name(tmp_path))
    mine = tmp_path / "home" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    note = temporary_name(tmp_path).with_suffix(".commit")
    note.mkdir()
    (note / ".errdetect-target.json").write_text('{"out": "home", "stale": ["mine.txt"]}')
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(note, 65534, 65534)
    sweep_litter(tmp_path)
    assert mine.read_text() == "mine"
    assert note.exists()
    os.chown(note, 0, 0)
    sweep_litter(tmp_path)
    assert not mine.exists(), "the test's note would be obeyed"


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_what_is_no_path_is_refused(tmp_path, name):
    with (
        pytest.raises(DataError, match="cannot be written: it is no path"),
        stage_outputs(f"{tmp_path}/{name}"),
    ):
        pass
    with pytest.raises(DataError, match="it is no path"):
        write_text(f"{tmp_path}/{name}", "x")
