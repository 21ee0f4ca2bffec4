"""What helps when only a biased tenth of the decisions is reviewed? Selection on observables, measured.

    python benchmarks/partial_reviews.py --sets civil_comments --seeds 0 1 2
    python benchmarks/partial_reviews.py --rows 24000 --out figures.csv

From a set that people reviewed in full, each seed draws what a platform would have: an audit whose logged
inclusion probability falls with the machine's margin, from .21 to .02, and appeals by a quarter of the wrongly
enforced and 6 % of the rightly enforced. Learns from the first 60 % of decisions by time, as `ablation.py`, and
measures by the truth on the next 20 %. The simulator's marketplaces keep the reviews they have.
Every way uses the ensemble that was chosen with the first. Writes average precision and recall at 5 % to
results/partial_reviews.csv.

    as trained             what `train` does: labels count equally, appeals too
    without appeals        audited decisions alone
    appeals in texts only  appeals teach the text models, not the trees
    inverse probability    labels weighted by 1 / inclusion probability, truncated (`train.propensity: audit`)
    square root            by its square root
    texts weighted         by 1 / inclusion probability in the text models alone
    trees weighted         in the trees alone
    self-trained texts     a further text model, from the labels and from what a first model, which never saw the
                           decision's fold, says of unreviewed decisions
    plain booster          one booster with squared error on the labels, for comparison with the next
    doubly robust          the same on m + (y - m) / inclusion probability, and m on unreviewed decisions
    uniform                as many labels, drawn uniformly: what the bias costs, and what the number
    every review           every decision reviewed
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from ablation import TUNE, examples_of
from detecting.problems import Problem, Source, find_folders, load_problem, simulated
from multilingual import widened

from errdetect.features.ngram_counts import text_groups
from errdetect.features.text_models import count_texts, fit_text_models
from errdetect.model.detector import Examples
from errdetect.model.ensemble import (
    Ensemble,
    choose_ensemble,
    fit_ensemble,
    fit_members,
)
from errdetect.model.ensemble_members import (
    DEFAULT_PARAMS,
    FitOptions,
    propensity_weights,
)
from errdetect.model.surrogate import LogSample, sample_log
from errdetect.model.training_data import (
    PreparedExamples,
    count_texts_once,
    prepare_examples,
)
from errdetect.model.tuning import Objective
from errdetect.stats.ranking_metrics import average_precision, recall_at

WEIGHTED = ("as trained", "without appeals", "appeals in texts only", "inverse probability",
            "square root", "texts weighted", "trees weighted")  # fmt: skip
FURTHER = ("self-trained texts", "plain booster", "doubly robust")
SIMULATED, MARKET = 10, 40_000  # seed of the first marketplace, and its decisions
MOST, LEAST, WRONGED, OTHERS = 0.21, 0.02, 0.25, 0.06
FOLDS, PSEUDO, BELIEVED = 3, 4000, 0.3
BOOSTER = {"objective": "regression", "learning_rate": 0.05, "num_leaves": 15, "lambda_l2": 5.0,
           "feature_fraction": 0.5, "min_data_in_leaf": 20, "verbose": -1, "deterministic": True}  # fmt: skip


def partial(problem: Problem, seed: int, uniform: int | None = None) -> Problem:
    """Draw the reviews of a platform; or as many labels uniformly."""
    rng, learn = np.random.default_rng(seed), problem.learn
    margin = (learn["score"] - learn["threshold"]).abs().rank(pct=True).to_numpy()
    chance = np.maximum(LEAST, MOST * (1 - margin) ** 0.6)
    chance = chance if uniform is None else np.full(len(learn), uniform / len(learn))
    drawn = rng.random(len(learn)) < chance
    wrong = problem.truth["is_error"].to_numpy(bool)
    files = rng.random(len(learn)) < np.where(wrong, WRONGED, OTHERS)
    appealed = files & learn["enforced"].to_numpy(bool) & (uniform is None)
    logged = pd.Series(chance, index=learn["decision_id"])
    reviews = problem.reviews
    audit = reviews[reviews["decision_id"].isin(learn["decision_id"][drawn])]
    audit = audit.assign(inclusion_probability=logged[audit["decision_id"]].to_numpy())
    appeals = reviews[reviews["decision_id"].isin(learn["decision_id"][appealed])]
    appeals = appeals.drop_duplicates("decision_id").assign(
        review_id=lambda frame: "appeal " + frame["review_id"],
        source="appeal",
        inclusion_probability=np.nan,
    )
    return replace(problem, reviews=pd.concat([audit, appeals], ignore_index=True))


class Ways:
    """The ways to learn from one draw of reviews."""

    def __init__(self, problem: Problem, threads: int) -> None:
        self.past, self.later, self.known = examples_of(problem)
        truth = problem.truth.set_index("decision_id")["is_error"]
        self.y = truth.loc[self.later["decision_id"]].to_numpy(float)
        self.options = FitOptions(threads=threads)
        rows = np.arange(len(self.known))
        self.early = rows < TUNE * len(rows)
        first = self.known.take(self.early)
        self.text = "text" in self.past
        self.counted = count_texts_once(self.known.decisions, first, leave_out=(), text=self.text)
        self.log = sample_log(self.past, text=self.text, seed=0)
        self.inverse = propensity_weights(self.known.design)
        self.base = self.prepared(self.known, self.log)
        self.blend = self._blend(first)

    def prepared(self, examples: Examples, log: LogSample | None) -> PreparedExamples:
        how = {"leave_out": (), "text": self.text, "seed": 0}
        return prepare_examples(examples, self.counted, **how, log=log)

    def _blend(self, first: Examples) -> Ensemble:
        tune = self.known.take(~self.early)
        small = self.prepared(first, self.log.before(tune.decisions["decided_at"].iloc[0]))
        held = small.prepare_later(tune, self.counted.of(tune.decisions) if self.text else None)
        weight = tune.design if tune.error[tune.design > 0].sum() >= 5 else np.ones(len(tune))
        return choose_ensemble(small, held, DEFAULT_PARAMS, weight, Objective(), self.options)

    def ranking(self, way: str) -> np.ndarray:
        """Return the log-odds (or another ranking) of the later decisions."""
        known, drawn, ones = self.known, self.known.design > 0, np.ones(len(self.known))
        if way == "self-trained texts":
            return self._self_trained()
        if way in ("plain booster", "doubly robust"):
            return self._booster(robust=way == "doubly robust")
        root = np.sqrt(self.inverse) / np.sqrt(self.inverse).mean()
        of = {"inverse probability": (self.inverse, self.inverse), "square root": (root, root),
              "texts weighted": (self.inverse, ones), "trees weighted": (ones, self.inverse)}  # fmt: skip
        texts, trees = of.get(way, (ones, ones))
        if way == "without appeals":
            whole = self.prepared(known.take(drawn), self.log)
        elif texts is ones:
            whole = self.base
        else:
            whole = self.prepared(replace(known, weight=texts), self.log)
        if way != "without appeals":
            rows = drawn if way == "appeals in texts only" else np.full(len(known), True)
            e = replace(known, weight=trees).take(rows)
            whole = replace(whole, X=whole.X[rows], examples=e)
        return self._fitted(whole, whole.detector([]).features(self.later))

    def _fitted(self, whole: PreparedExamples, X: np.ndarray) -> np.ndarray:
        members = fit_ensemble(whole, self.blend, DEFAULT_PARAMS, self.options)
        return whole.detector(members, self.blend.floor).raw(X, self.options.threads)

    def _unreviewed(self) -> pd.DataFrame:
        rest = self.past[~self.past["decision_id"].isin(self.known.decisions["decision_id"])]
        return rest.sample(min(PSEUDO, len(rest)), random_state=0).reset_index(drop=True)

    def _folds(self) -> np.ndarray:
        texts = self.known.decisions["text"] if self.text else self.known.decisions["item_id"]
        group = text_groups(texts) if self.text else pd.factorize(texts)[0]
        group = np.unique(group, return_inverse=True)[1]
        return np.random.default_rng(1).permutation(int(group.max()) + 1)[group] % FOLDS

    def _first_model(self, examples: Examples, frames: list[pd.DataFrame]) -> list[np.ndarray]:
        """Return P(violates) of some decisions by a model of these labels."""
        prepared = self.prepared(examples, None)
        rounds = {"extra": self.blend.rounds.get("extra", 100)}
        (member,) = fit_members(prepared, {"extra"}, DEFAULT_PARAMS, rounds, self.options)
        out = []
        for frame in frames:
            X = prepared.detector([]).features(frame)
            side = np.where(frame["enforced"], 1.0, -1.0)
            wrong = 1 / (1 + np.exp(-member.raw(X, side, self.options.threads)))
            out.append(np.where(frame["enforced"], 1 - wrong, wrong))
        return out

    def _self_trained(self) -> np.ndarray:
        """Add a text model that learned from the labels and from what a first model says of others."""
        free, fold, known = self._unreviewed(), self._folds(), self.known
        tags = self.counted.tags

        def second(examples: Examples, wanted: pd.DataFrame) -> np.ndarray:
            (p,) = self._first_model(examples, [free])
            frame = pd.concat([examples.decisions, free], ignore_index=True)
            y = np.concatenate([examples.p_violates, p])
            weight = np.concatenate([np.ones(len(examples)), np.full(len(free), BELIEVED)])
            halves = np.arange(len(frame)) % 2
            model, _ = fit_text_models(
                count_texts(frame, tags), y, weight, halves, tags=tags, seed=0
            )
            logit = np.nanmean(model.read_every(count_texts(wanted, tags, model.views)), axis=1)
            return np.column_stack([logit, np.where(wanted["enforced"], -1.0, 1.0) * logit])

        own = np.empty((len(known), 2))
        for k in range(FOLDS):
            own[fold == k] = second(known.take(fold != k), known.decisions[fold == k])
        X = self.base.detector([]).features(self.later)
        more = second(known, self.later)
        return self._fitted(widened(self.base, own), np.column_stack([X, more]))

    def _booster(self, *, robust: bool) -> np.ndarray:
        """Fit one booster on labels, or on doubly robust outcomes of reviewed and other decisions."""
        X, y, known = self.base.X, self.known.p_error, self.known
        weight = np.ones(len(y))
        later = self.base.detector([]).features(self.later)
        if robust:
            free, fold = self._unreviewed(), self._folds()
            m, m_free = np.empty(len(y)), np.zeros(len(free))
            for k in range(FOLDS):
                held = known.decisions[fold == k]
                own, rest = self._first_model(known.take(fold != k), [held, free])
                m[fold == k] = np.where(held["enforced"], 1 - own, own)
                m_free += np.where(free["enforced"], 1 - rest, rest) / FOLDS
            drawn = known.design > 0  # whether an appeal comes depends on the error itself
            most = 10 * np.median(known.design[drawn])
            corrected = m + (y - m) * np.minimum(known.design, most)
            X = np.vstack([X[drawn], self.base.detector([]).features(free)])
            y = np.concatenate([corrected[drawn], m_free])
            others = (len(self.past) - len(known)) / max(len(free), 1)
            weight = np.concatenate([np.ones(int(drawn.sum())), np.full(len(free), others)])
        params = {**BOOSTER, "num_threads": self.options.threads}
        data = lgb.Dataset(
            X, y, weight=weight, categorical_feature=list(self.base.encoding.categories)
        )
        return np.asarray(lgb.train(params, data, 150).predict(later))


def measure(ways: Ways, way: str) -> dict[str, float]:
    raw = ways.ranking(way)
    return {
        "average_precision": average_precision(ways.y, raw),
        "recall_at_5": float(recall_at(ways.y, raw, [0.05])[0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shared = Path(os.environ.get("ERRDETECT_SHARED", "../shared"))
    here = Path(__file__).parent
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--sets", nargs="*", help="names of sets; default: all")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument(
        "--ways", nargs="*", default=[*WEIGHTED, *FURTHER, "uniform", "every review"]
    )
    parser.add_argument(
        "--rows", type=int, default=24_000, help="decisions a set, evenly over time"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=here / "results/partial_reviews.csv")
    args = parser.parse_args()
    rows: list[dict[str, object]] = []

    def note(name: str, seed: int, way: str, labels: int, found: dict[str, float]) -> None:
        rows.append({"set": name, "seed": seed, "way": way, "labels": labels, **found})
        print(rows[-1], flush=True)
        pd.DataFrame(rows).round(4).to_csv(args.out, index=False)

    if not args.sets or "simulator" in args.sets:  # with its own audit, appeals and reports
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as place:
                made = simulated(SIMULATED + seed, Path(place), MARKET)
                problem = load_problem(Source(made.name, made, "reviews"))
            ways = Ways(problem, args.threads)
            for way in args.ways:
                if way in (*WEIGHTED, *FURTHER):
                    note("simulator", seed, way, len(ways.known), measure(ways, way))
    for folder in find_folders(args.data):
        if args.sets and folder.name not in args.sets:
            continue
        problem = load_problem(Source(folder.name, folder, "reviews", args.rows))
        if "every review" in args.ways:
            every = Ways(problem, args.threads)
            note(
                folder.name,
                -1,
                "every review",
                len(every.known),
                measure(every, "as trained"),
            )
        for seed in args.seeds:
            ways = Ways(partial(problem, seed), args.threads)
            n = len(ways.known)
            for way in args.ways:
                if way in WEIGHTED or (way in FURTHER and (ways.text or way != FURTHER[0])):
                    note(folder.name, seed, way, n, measure(ways, way))
            if "uniform" in args.ways:
                many = round(n / len(ways.past) * len(problem.learn))
                even = Ways(partial(problem, seed, uniform=many), args.threads)
                note(
                    folder.name,
                    seed,
                    "uniform",
                    len(even.known),
                    measure(even, "as trained"),
                )
    table = pd.DataFrame(rows).groupby(["set", "way"], sort=False)[
        ["average_precision", "recall_at_5"]
    ]
    print(table.mean().round(4).to_string())


if __name__ == "__main__":
    main()
