"""What scoring costs: errdetect, two scripts of others' parts, and the floor, in one interleaved run.

The floor is the champion's own boosters on a ready matrix, plus one pass of scikit-learn's HashingVectorizer. The
`naive` script is pandas, TF-IDF, LightGBM and SHAP values for all; `by_hand` is the best composition that we
know: Polars counts earlier decisions, hashed words go through a linear model, and SHAP explains the queue's head only.
Beyond a million, decisions are copies of the first million under other ids, accounts, times and texts.

With `--whole`: training, `estimate` and `report` of the log and all decisions together, each once.

python benchmarks/speed.py --decisions 100000,1000000
python benchmarks/speed.py --decisions 20000 --log 20000 --no-text
python benchmarks/speed.py --decisions 1000000 --no-text --no-history --steps errdetect,boosters
python benchmarks/speed.py --decisions 1000000,10000000 --steps errdetect,boosters --times 1
python benchmarks/speed.py --decisions 1000000 --whole
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from errdetect.config import load_config
from errdetect.data.table_reading import read_decisions
from errdetect.model.registry import ModelRegistry

_BLOCK = 100_000  # texts of a matrix
_PART = 10_000  # decisions of the ready matrix, predicted again and again
_WORDS = {"min_df": 2, "ngram_range": (1, 2)}
_SIMULATED = 1_000_000  # decisions; more are copies of these
_HEAD = 2_000  # decisions queued and explained
STEPS = ("errdetect", "boosters", "hashing", "by_hand", "naive")
WHOLE = ("train", "estimate", "report")


def make_market(
    folder: Path, log: int, sizes: list[int], text: bool = True, history: bool = True
) -> None:
    """A log with reviews, its champion, and the decisions after it."""
    made = log + min(max(sizes), _SIMULATED)
    errdetect("simulate", str(folder), "--decisions", str(made), "--seed", "1")
    shutil.copytree(folder, folder / "whole")
    every = pd.read_parquet(folder / "decisions.parquet").sort_values("decided_at")
    if not text:
        every = every.drop(columns="text")
    known, later = every.iloc[:log], every.iloc[log:]
    known.to_parquet(folder / "decisions.parquet")
    reviews = pd.read_parquet(folder / "reviews.parquet")
    own = reviews["decision_id"].isin(known["decision_id"])
    reviews[own & (reviews["reviewed_at"] <= known["decided_at"].max())].to_parquet(
        folder / "reviews.parquet"
    )
    for n in sizes:
        write_batch(later, n, folder / f"batch{n}.parquet")
    settings = ["train.trials=0"]
    settings += [] if history else ["features.history=false", "features.similar=false"]
    words = [word for setting in settings for word in ("--set", setting)]
    errdetect("train", str(folder / "config.yaml"), *words)


def write_batch(later: pd.DataFrame, n: int, path: Path) -> None:
    """Write decisions to score; beyond those simulated, copies that have nothing in common with them."""
    schema = pa.Table.from_pandas(later.iloc[:1], preserve_index=False).schema
    apart = later["decided_at"].max() - later["decided_at"].min() + pd.Timedelta(1, "s")
    with pq.ParquetWriter(path, schema) as writer:
        for copy in range(-(-n // len(later))):
            some = later.iloc[: n - copy * len(later)]
            if copy:
                some = some.assign(decided_at=some["decided_at"] + copy * apart)
                for name in ("decision_id", "item_id", "account_id", "text", "image_hash"):
                    if name in some:
                        some[name] = some[name] + f" {copy}"
            table = pa.Table.from_pandas(some, schema=schema, preserve_index=False)
            writer.write_table(table, row_group_size=200_000)


def errdetect(*words: str) -> None:
    """Run a command quietly."""
    subprocess.run([sys.executable, "-m", "errdetect", *words, "-q"], check=True)


def run_step(step: str, folder: Path, n: int) -> None:
    """Do one step's work, in a process of its own."""
    batch = folder / f"batch{n}.parquet"
    if step == "errdetect":
        (folder / "errdetect.db").unlink(missing_ok=True)
        shutil.rmtree(folder / "errdetect.state", ignore_errors=True)
        out = str(folder / "out")
        config = str(folder / "config.yaml")
        errdetect("score", config, "--decisions", str(batch), "--out", out, "--budget", str(_HEAD))
    elif step in WHOLE:
        out = [] if step == "train" else ["--out", str(folder / "whole" / step)]
        extra = ["--set", "train.trials=0"] if step == "train" else []
        errdetect(step, str(folder / "whole" / "config.yaml"), *out, *extra)
    elif step == "hashing":
        texts = pd.read_parquet(batch, columns=["text"])["text"].fillna("").tolist()
        report(lambda: HashingVectorizer(n_features=2**20).transform(texts))
    elif step == "boosters":
        config = load_config(folder / "config.yaml")
        bundle, _ = ModelRegistry(config.path(config.registry.path), config.registry.name).load()
        some = read_decisions(batch).frame.head(_PART)
        X, threads = bundle.detector.features(some), os.cpu_count() or 1
        report(
            lambda: [
                bundle.detector.raw(X[: min(_PART, n - i)], threads) for i in range(0, n, _PART)
            ]
        )
    elif step == "by_hand":
        score_by_hand(folder, batch)
    else:
        score_naively(folder, batch)


def report(work: object) -> None:
    """Print what the work alone took, without what prepares it."""
    began, used = time.perf_counter(), time.process_time()
    work()  # type: ignore[operator]
    took = {"wall": time.perf_counter() - began, "processor": time.process_time() - used}
    print(json.dumps(took))


def score_naively(folder: Path, batch: Path) -> None:
    """TF-IDF and LightGBM on what the table holds, and SHAP values for all."""
    log, new = (pd.read_parquet(path) for path in (folder / "decisions.parquet", batch))
    reviews = pd.read_parquet(folder / "reviews.parquet").drop_duplicates("decision_id")
    known = log.merge(reviews[["decision_id", "verdict"]], on="decision_id")
    words = TfidfVectorizer(**_WORDS) if "text" in known else None
    levels = {
        name: pd.CategoricalDtype(log[name].dropna().unique())
        for name in ("policy_id", "action", "market", "language", "category", "moderator")
    }

    def matrix(frame: pd.DataFrame) -> pd.DataFrame:
        X = frame.select_dtypes("number").copy()
        for name, kind in levels.items():
            X[name] = frame[name].astype(kind).cat.codes
        return X

    y = (known["verdict"] != "upheld").to_numpy(int)
    X, Z = matrix(known), matrix(new)
    if words is not None:
        line = LogisticRegression().fit(words.fit_transform(known["text"].fillna("")), y)
        X["text"] = line.decision_function(words.transform(known["text"].fillna("")))
        Z["text"] = line.decision_function(words.transform(new["text"].fillna("")))
    model = lgb.LGBMClassifier(n_estimators=300, verbose=-1).fit(X, y)
    scores = model.predict_proba(Z)[:, 1]
    shap = np.abs(model.booster_.predict(Z, pred_contrib=True)[:, :-1]).argmax(axis=1)
    pd.DataFrame({"p_error": scores, "reason": shap}).to_parquet(folder / "naive.parquet")


def score_by_hand(folder: Path, batch: Path) -> None:
    """Counts of earlier decisions by Polars, hashed words, LightGBM, and SHAP values for the head only."""
    keys = ("account_id", "policy_id", "moderator", "category")
    log = pl.read_parquet(folder / "decisions.parquet").with_columns(known=True)
    new = pl.read_parquet(batch).with_columns(known=False)
    acted = (pl.col("action") != "allow").cast(pl.Int32)
    every = (
        pl.concat([log, new], how="diagonal")
        .with_row_index("place")
        .sort("decided_at")
        .with_columns(
            *(pl.int_range(pl.len()).over(key).alias(f"n_{key}") for key in keys),
            *((acted.cum_sum().over(key) - acted).alias(f"acted_{key}") for key in keys),
            *(pl.col(c).rank("dense").alias(f"code_{c}") for c in (*keys[1:], "market", "action")),
        )
        .sort("place")
    )
    reviews = pd.read_parquet(folder / "reviews.parquet").drop_duplicates("decision_id")
    verdicts = pl.from_pandas(reviews[["decision_id", "verdict"]])
    every = every.join(verdicts, on="decision_id", how="left", maintain_order="left")
    X = every.select(cs.numeric()).drop("place").to_pandas().astype("float32")
    known = every["verdict"].is_not_null().to_numpy()
    y = (every["verdict"].to_numpy()[known] != "upheld").astype(int)
    if "text" in every.columns:
        texts = every["text"].fill_null("")
        words = HashingVectorizer(n_features=2**18, ngram_range=(1, 2))
        line = LogisticRegression().fit(words.transform(texts.filter(known).to_list()), y)
        X["text"] = np.concatenate(
            [line.decision_function(words.transform(texts[i : i + _BLOCK].to_list()))
             for i in range(0, len(texts), _BLOCK)]
        )  # fmt: skip
    model = lgb.LGBMClassifier(n_estimators=300, verbose=-1).fit(X[known], y)
    Z = X[~every["known"].to_numpy()]
    scores = model.predict_proba(Z)[:, 1]
    head = np.argsort(-scores)[:_HEAD]
    shap = np.abs(model.booster_.predict(Z.iloc[head], pred_contrib=True)[:, :-1]).argmax(axis=1)
    pd.DataFrame({"p_error": scores}).to_parquet(folder / "by_hand.parquet")
    pd.DataFrame({"place": head, "reason": shap}).to_parquet(folder / "by_hand_head.parquet")


def measure(step: str, folder: Path, n: int) -> dict[str, object]:
    """Run a step in a process; return its wall and processor seconds and peak gigabytes."""
    command = [sys.executable, __file__, "--step", step, "--market", str(folder)]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--decisions", str(n)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read().strip()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{step} failed")
    own = {
        "wall": time.perf_counter() - began,
        "processor": usage.ru_utime + usage.ru_stime,
    }
    own |= json.loads(printed.splitlines()[-1]) if step in ("boosters", "hashing") else {}
    took = {"decisions": n, "step": step, **own, "peak_gb": usage.ru_maxrss / 1e6}
    print(json.dumps(took), flush=True)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--decisions", default="100000")
    parser.add_argument("--log", type=int, default=100_000)
    parser.add_argument("--no-text", action="store_true")
    parser.add_argument("--no-history", action="store_true")
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--market", type=Path, help="keep the market here, and use one made before")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--step", choices=(*STEPS, *WHOLE))
    args = parser.parse_args()
    sizes = [int(n) for n in args.decisions.split(",")]
    if args.step:
        run_step(args.step, args.market, sizes[0])
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.market or Path(temporary) / "market"
        if not (folder / f"batch{max(sizes)}.parquet").exists():
            make_market(folder, args.log, sizes, not args.no_text, not args.no_history)
        steps = [] if args.whole else args.steps.split(",")
        steps = [s for s in steps if not (args.no_text and s == "hashing")]
        runs = [
            measure(step, folder, n) for n in sizes for _ in range(args.times) for step in steps
        ]
        if args.whole:
            once = [measure(step, folder, max(sizes)) for step in WHOLE]
            print(pd.DataFrame(once).round(2).to_string(index=False), flush=True)
        if not runs:
            return
    best = pd.DataFrame(runs).groupby(["decisions", "step"], sort=False).min()
    costs = best[["wall", "processor"]]
    bars = {"boosters": costs.xs("boosters", level="step")} if "boosters" in steps else {}
    if {"boosters", "hashing"} <= set(steps):
        bars["floor"] = bars["boosters"] + costs.xs("hashing", level="step")
    for name, bar in bars.items():
        best = best.join(costs.div(bar).add_suffix(f" / {name}"))
    print(best.round(2).to_string())


if __name__ == "__main__":
    main()
