"""Make tests/data_of_0_1/files.tar.xz with errdetect as of commit 0efa1fd.

    git worktree add --detach ../errdetect-0.1 0efa1fd
    PYTHONPATH=../errdetect-0.1/src python tools/make_data_of_0_1.py tests/data_of_0_1/files.tar.xz

It runs that version's commands on a small simulated marketplace. Fewer trees than by default keep files small; their
format is that version's own. Only files that hold no code are kept: JSON, LightGBM's text, arrays, Parquet, SQLite.
"""

import importlib
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

import pandas as pd

N, BATCH, BUDGET = 2400, 60, 20
#: Fewer trees, texts and policies: they are most of a bundle's size.
SMALL = {
    "errdetect.model.trees": {"_MAX_ROUNDS": 5},
    "errdetect.model.usual": {"_ROUNDS": 4},
    "errdetect.features.text": {"_MIN_TEXTS": 45},
    "errdetect.model.relabelling": {
        "_MAX_REVIEWED": 50,
        "_MAX_UNREVIEWED": 10,
        "_MAX_POLICIES": 2,
    },
}
SETTINGS = ["train.trials=0", "train.threads=1"]


def errdetect(*words: object) -> None:
    """Run a command of the old version in a process of its own."""
    line = [sys.executable, __file__, "--run", *map(str, words)]
    subprocess.run(line, check=True)


def run(words: list[str]) -> None:
    """Run a command of the old version with small trees."""
    for module, values in SMALL.items():
        for name, value in values.items():
            assert hasattr(importlib.import_module(module), name)
            setattr(importlib.import_module(module), name, value)
    sys.argv = ["errdetect", *words]
    importlib.import_module("errdetect.cli").main()


def score_alone(bundle: Path, batch: Path, out: Path) -> None:
    """Write what a bundle of the old version makes of decisions without their past."""
    model = importlib.import_module("errdetect.model.bundle").load_bundle(bundle)
    (read,) = importlib.import_module("errdetect.data.tables").iter_decisions(str(batch))
    p = model.probability(model.detector.features(read.frame), read.frame)
    table = model.wrong_labels(read.frame, p).assign(p_error=p)
    table.insert(0, "decision_id", read.frame["decision_id"])
    table.to_parquet(out, index=False)


def audit(market: Path) -> pd.DataFrame:
    """Return reviews of every other decision, with further errors so that findings are confirmed."""
    truth = pd.read_parquet(market / "truth.parquet").iloc[: N - BATCH : 2].reset_index(drop=True)
    decisions = pd.read_parquet(market / "decisions.parquet").set_index("decision_id")
    own = decisions.loc[truth["decision_id"]]
    verdict = pd.Series("upheld", truth.index).mask(truth["is_error"], "overturned")
    verdict = verdict.mask(truth["error_kind"] == "wrong_label", "relabelled")
    enforced = own["action"].to_numpy() != "approve"
    planted = enforced & own["market"].isin(["BR", "DE"]).to_numpy() & (truth.index % 5 < 4)
    verdict = verdict.mask(planted, "overturned")
    other = (verdict == "upheld") & enforced & (truth.index % 8 < 5)
    verdict = verdict.mask(other, "relabelled")
    policy = truth["correct_policy_id"].mask(other, "scam").where(verdict == "relabelled")
    return pd.DataFrame(
        {
            "review_id": [f"audit-{i}" for i in truth.index],
            "decision_id": truth["decision_id"],
            "reviewed_at": own["decided_at"].to_numpy() + pd.Timedelta(hours=6),
            "source": "audit",
            "verdict": verdict,
            "correct_policy_id": policy,
            "reviewer_id": [f"r{i % 7}" for i in truth.index],
            "site": "fir",
            "inclusion_probability": 0.5,
            "expected": None,
            "minutes": 2.0,
        }
    )


def finished(queue: pd.DataFrame, market: Path) -> pd.DataFrame:
    """Return finished reviews of half of the queue, as a review tool returns them."""
    truth = pd.read_parquet(market / "truth.parquet").set_index("decision_id")
    rows = queue.iloc[::2]
    wrong = truth.loc[rows["decision_id"], "is_error"].to_numpy(bool)
    return pd.DataFrame(
        {
            "review_id": [f"finished-{one}" for one in rows["decision_id"]],
            "decision_id": rows["decision_id"].to_numpy(),
            "reviewed_at": (rows["scored_at"] + pd.Timedelta(minutes=1)).to_numpy(),
            "source": "re_review",
            "verdict": ["overturned" if one else "upheld" for one in wrong],
            "reviewer_id": "r1",
            "site": "fir",
            "inclusion_probability": rows["inclusion_probability"].to_numpy(),
            "minutes": 1.5,
        }
    )


def main(out: Path) -> None:
    """Make every file."""
    folder = Path(tempfile.mkdtemp())
    market = folder / "market"
    config = market / "config.yaml"
    errdetect("simulate", market, "--decisions", N, "--days", 40, "--seed", 3)
    audit(market).to_parquet(market / "reviews.parquet")
    settings = [word for one in SETTINGS for word in ("--set", one)]
    errdetect("train", config, *settings)
    pd.read_parquet(market / "decisions.parquet").tail(BATCH).to_parquet(folder / "batch.parquet")
    errdetect(
        "score",
        config,
        "--decisions",
        folder / "batch.parquet",
        "--out",
        folder / "queue",
        "--budget",
        BUDGET,
    )
    finished(pd.read_parquet(folder / "queue" / "queue.parquet"), market).to_csv(
        folder / "finished.csv"
    )
    errdetect("ingest", config, "--reviews", folder / "finished.csv")
    errdetect(
        "remediate",
        config,
        "--out",
        folder / "plan",
        "--apply",
        "--by",
        "ann",
        "--approved-by",
        "bob",
    )
    errdetect("report", config, "--out", folder / "report")
    proposals = pd.read_parquet(folder / "report" / "tables" / "proposals.parquet")
    accepted = proposals["proposal_id"].iloc[0]
    errdetect("proposals", config, "--accept", accepted, "--by", "ann", "--effective", "2025-02-01")
    keep(folder, out)


def keep(folder: Path, out: Path) -> None:
    """Pack what the tests read; a solid archive, as two of the arrays are equal."""
    market, kept = folder / "market", folder / "kept"
    (bundle,) = market.rglob("bundle")
    shutil.copytree(bundle, kept / "bundle")
    with closing(sqlite3.connect(market / "errdetect.db")) as ledger:
        ledger.execute("PRAGMA journal_mode=DELETE")
        ledger.execute("VACUUM")
    shutil.copy(market / "errdetect.db", kept / "ledger.db")
    shutil.copytree(folder / "queue", kept / "queue")
    shutil.copytree(folder / "plan", kept / "plan", ignore=shutil.ignore_patterns("*.csv"))
    (kept / "tables").mkdir()
    for name in ("findings", "reliability", "reliability_by", "segments", "slices", "thresholds"):
        shutil.copy(folder / "report" / "tables" / f"{name}.parquet", kept / "tables")
    shutil.copy(folder / "batch.parquet", kept)
    given = (kept / "bundle", kept / "batch.parquet", kept / "bundle_scores.parquet")
    subprocess.run([sys.executable, __file__, "--score", *map(str, given)], check=True)
    with tarfile.open(out, "w:xz", preset=9) as archive:
        for path in sorted(kept.rglob("*")):
            archive.add(path, path.relative_to(kept), recursive=False, filter=_nobody)


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime = 0, 0, "", "", 0
    return entry


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        run(sys.argv[2:])
    elif sys.argv[1] == "--score":
        score_alone(*map(Path, sys.argv[2:]))
    else:
        main(Path(sys.argv[1]))
