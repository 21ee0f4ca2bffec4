"""Scores equal those of a plain implementation to 1e-12: loops over records, no index, no batch, no thread."""

import math
import shutil
import unicodedata
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from errdetect.config import load_config
from errdetect.features.text_models import RECIPES, TextCounts
from errdetect.model.ensemble_members import raw_scores
from errdetect.model.registry import ModelRegistry
from errdetect.workflows.score import score

KEYS = {
    "account": ["account_id"],
    "policy": ["policy_id"],
    "account_policy": ["account_id", "policy_id"],
    "market_policy": ["market", "policy_id"],
    "moderator": ["moderator", "moderator_version"],
}
DRAWN, COMPLAINTS = ("audit", "re_review"), ("appeal", "report")
ANYONE = (*DRAWN, *COMPLAINTS, "adjudication")
ALL = 2**64 - 1
ODD = 0x9E3779B97F4A7C15
LOG, BATCH = 900, 40


def mix(x):
    """Hash an integer by SplitMix64's last steps."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & ALL
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & ALL
    return x ^ (x >> 31)


def split_mix(x):
    return mix((x + ODD) & ALL)


# --- similar content


def folded(text):
    """Return the words of letters, marks and pictograms: anything else parts them."""
    kept = ((c, unicodedata.category(c)) for c in text[:2000].casefold())
    return "".join(c if k == "So" or k[0] in "LM" else " " for c, k in kept).split(" ")


def near_keys(words):
    """Return the least hashes of four characters in a row, around the end, in six bands of five."""
    chars = [*map(ord, " ".join(words)), 0]
    runs = []
    for i in range(len(chars)):
        run = 0
        for step in range(4):
            run = split_mix(run ^ chars[(i + step) % len(chars)])
        runs.append(run)
    least = []
    for j in range(30):
        salt = split_mix(j + 1)
        least.append(min((run ^ salt) * (salt | 1) & ALL for run in runs))
    return [tuple(least[5 * band : 5 * band + 5]) for band in range(6)]


def with_content(row):
    words = [w for w in folded(row["text"]) if w] if isinstance(row["text"], str) else []
    own: dict = {"folded": " ".join(words) or None}
    bands = near_keys(words) if words else [None] * 6
    own |= {("near", band): key for band, key in enumerate(bands)}
    return row | own


def known(value):
    return value is not None and value == value


# --- verdicts and histories


def verdict(reviews, decision, moment, sources):
    """Return when a decision's verdict last changed, its share of errors, and of overturned."""
    given = [
        r
        for r in reviews.get(decision["decision_id"], [])
        if decision["decided_at"] <= r["reviewed_at"] < moment
        and r["source"] in (*sources, "adjudication")
    ]
    given.sort(key=lambda r: (r["reviewed_at"], r["review_id"]))
    experts = [r["verdict"] for r in given if r["source"] == "adjudication"]
    others = {
        r["reviewer_id"] if known(r["reviewer_id"]) else i: r["verdict"]
        for i, r in enumerate(given)
        if r["source"] != "adjudication"
    }
    if not others and not (experts and "adjudication" in sources):
        return None
    words = experts[-1:] or list(others.values())
    wrong = sum(word != "upheld" for word in words) / len(words)
    overturned = sum(word == "overturned" for word in words) / len(words)
    return given[-1]["reviewed_at"], wrong, overturned


def lean(mine, every):
    return (sum(mine) + 5 * sum(every) / len(every)) / (len(mine) + 5) if mine else math.nan


def histories(rows, reviews, row):
    """Return all histories of one decision by a walk through the log."""
    t, found = row["decided_at"], {}
    held = {
        kind: [verdict(reviews, other, t, sources) for other in rows]
        for kind, sources in (("drawn", DRAWN), ("complaints", COMPLAINTS))
    }
    for key, columns in KEYS.items():
        own = [all(known(row[c]) and other[c] == row[c] for c in columns) for other in rows]
        for days in (7, 30, 90):
            since = t - pd.Timedelta(days=days)
            before = [since <= other["decided_at"] < t for other in rows]
            every = [o["enforced"] for o, b in zip(rows, before, strict=True) if b]
            mine = [o["enforced"] for o, b, m in zip(rows, before, own, strict=True) if b and m]

            def wrong(kind, some, since=since):
                pairs = zip(held[kind], some, strict=True)
                return [v[1] for v, yes in pairs if yes and v is not None and v[0] >= since]

            drawn, all_drawn = wrong("drawn", own), wrong("drawn", [True] * len(rows))
            upset, all_upset = wrong("complaints", own), wrong("complaints", [True] * len(rows))
            values = {
                f"decisions_{days}d": len(mine),
                f"enforced_rate_{days}d": lean(mine, every),
                f"reviewed_{days}d": len(drawn),
                f"error_rate_{days}d": lean(drawn, all_drawn),
                f"errors_{days}d": sum(drawn),
                f"complaints_{days}d": len(upset),
                f"complaint_error_rate_{days}d": lean(upset, all_upset),
            }
            missing = not all(known(row[c]) for c in columns)
            found |= {f"history_{key}_{n}": math.nan if missing else v for n, v in values.items()}
    return found


def similar(rows, reviews, row):
    """Return the verdicts on similar content before one decision."""
    t, found = row["decided_at"], {}
    kinds = {"text": ["folded"], "near": [("near", band) for band in range(6)]}
    kinds["item"] = ["item_id"]
    kinds |= {name: [name] for name in row if isinstance(name, str) and name.endswith("hash")}
    for kind, names in kinds.items():
        best = None
        for name in names:
            alike = [o for o in rows if known(row[name]) and o[name] == row[name]]
            before = [o["enforced"] for o in alike if o["decided_at"] < t]
            held = [(verdict(reviews, o, t, ANYONE), o["enforced"]) for o in alike]
            given = [(*v, acted) for v, acted in held if v is not None]
            if best is None or (len(given), len(before)) > (len(best[0]), len(best[1])):
                best = given, before
        given, before = best
        n = len(given)
        values = {
            "reviewed": n,
            "violates": sum(1 - v[2] if v[3] else v[2] for v in given) / n if n else math.nan,
            "wrong": sum(v[1] for v in given) / n if n else math.nan,
            "days": (t - max(v[0] for v in given)) / pd.Timedelta(days=1) if n else math.nan,
            "decisions": len(before),
            "enforced_rate": sum(before) / len(before) if before else math.nan,
        }
        missing = not known(row[names[0]])
        found |= {f"similar_{kind}_{n}": math.nan if missing else v for n, v in values.items()}
    return found


# --- texts


def column_of(points):
    """Return the column of an n-gram of characters, by a polynomial of its code points."""
    rolling = 0
    for point in points:
        rolling = (rolling * ODD + point) & ALL
    return mix((rolling + len(points)) & ALL) >> 44


def characters(words):
    counts = Counter()
    for word in words:
        points = [32, *map(ord, word), 32]
        for n in range(2, 6):
            counts.update(column_of(points[i : i + n]) for i in range(len(points) - n + 1))
    return counts


def part_hash(part):
    """Return the hash of a run of letters or signs."""
    total, power = 0, 1
    for char in part:
        total = (total + (ord(char) + 1) * power) & ALL
        power = power * ODD & ALL
    return mix(total)


def parts_of(word, signs):
    out, last = [], 0
    for char in word:
        inside = char == "_" or unicodedata.category(char)[0] in "LMN"
        kind = 1 if inside else 2 if signs else 0
        if kind and kind == last:
            out[-1] += char
        elif kind:
            out.append(char)
        last = kind
    return out


def word_hashes(words, signs):
    return [part_hash(part) for word in words for part in parts_of(word, signs)]


def words_and_pairs(words, signs):
    hashes = word_hashes(words, signs)
    pairs = [(a * ODD + b) & ALL for a, b in pairwise(hashes)]
    return Counter(mix(one) >> 44 for one in (*hashes, *pairs))


def tagged(words, tags):
    hashes = word_hashes(words, signs=False)
    every = [(one * ODD + tag) & ALL for tag in tags for one in hashes] + list(tags)
    return Counter(mix(one) >> 44 for one in (every if tags else hashes))


def counted(rows, tags):
    """Count every view of some texts, one text at a time."""
    views = {view: [] for view in ("char", "word", "cased", "tagged")}
    for row in rows:
        text = " ".join((row["text"] if isinstance(row["text"], str) else "")[:5000].split())
        words, lower = text.split(), text.lower().split()
        named = [f"{tag}={row[tag] if known(row.get(tag)) else ''}" for tag in tags]
        own = [int(h) for h in pd.util.hash_array(np.array(named, object), categorize=False)]
        views["char"].append(characters(lower))
        views["word"].append(words_and_pairs(lower, signs=False))
        views["cased"].append(words_and_pairs(words, signs=True))
        views["tagged"].append(tagged(lower, own))
    return views


def text_logits(model, counts, row, i):
    """Return each recipe's log-odds of one text, term by term."""
    out = []
    for recipe in RECIPES:
        if recipe.name not in model.slopes or not isinstance(row["text"], str):
            out.append(math.nan)
            continue
        side = int(recipe.sides and row["enforced"])
        slopes = model.slopes[recipe.name][side]
        columns, idf = model.columns[recipe.view], model.idf[recipe.view]
        total = norm = 0.0
        for column, count in counts[recipe.view][i].items():
            place = int(np.searchsorted(columns, column))
            if place < len(columns) and columns[place] == column:
                value = (math.log(count) + 1) * float(idf[place])
                norm += value * value
                total += value * float(slopes[place])
        start = float(model.intercepts[recipe.name][side])
        out.append(total / math.sqrt(norm) + start if norm else start)
    return out


def to_matrix(counters):
    rows = [i for i, counter in enumerate(counters) for _ in counter]
    columns = [column for counter in counters for column in counter]
    values = np.array([n for counter in counters for n in counter.values()], np.float32)
    found = sparse.csr_matrix((values, (rows, columns)), shape=(len(counters), 2**20))
    found.sort_indices()
    return found


@pytest.fixture(scope="module")
def project(market, trained, tmp_path_factory):
    """The market's last decisions as a log and a batch of their own, with its model."""
    assert trained is not None
    folder = tmp_path_factory.mktemp("plain")
    every = pd.read_parquet(market / "decisions.parquet")
    every = every.sort_values("decided_at", kind="stable").tail(LOG + BATCH)
    every.head(LOG).to_parquet(folder / "decisions.parquet")
    every.tail(BATCH).to_parquet(folder / "batch.parquet")
    reviews = pd.read_parquet(market / "reviews.parquet")
    reviews[reviews["decision_id"].isin(every["decision_id"])].to_parquet(
        folder / "reviews.parquet"
    )
    for name in ("config.yaml", "policies.yaml"):
        shutil.copy(market / name, folder / name)
    shutil.copytree(market / "models", folder / "models")
    options = ["queue.record=false", "score.follow_levels=false"]
    return load_config(folder / "config.yaml", options)


@pytest.fixture(scope="module")
def scored(project):
    """What score writes, and the model."""
    out = project.base / "out"
    at = datetime(2027, 1, 1, tzinfo=UTC)
    score(project, project.base / "batch.parquet", out, budget=10, scored_at=at)
    bundle, _ = ModelRegistry(project.path(project.registry.path), project.registry.name).load()
    return pd.read_parquet(out / "scores.parquet"), bundle


@pytest.fixture(scope="module")
def plain(project, scored):
    """The batch with everything that was known before, and its texts counted, in plain loops."""
    bundle = scored[1]
    frames = [pd.read_parquet(project.base / f"{n}.parquet") for n in ("decisions", "batch")]
    every = pd.concat(frames, ignore_index=True)
    every["enforced"] = every["action"] != "approve"
    rows = [with_content(row) for row in every.astype(object).to_dict("records")]
    reviews: dict[str, list] = {}
    given = pd.read_parquet(project.base / "reviews.parquet")
    assert given["review_id"].is_unique
    for one in given[given["source"] != "golden"].astype(object).to_dict("records"):
        reviews.setdefault(one["decision_id"], []).append(one)
    batch = rows[LOG:]
    facts = pd.DataFrame(
        [histories(rows, reviews, row) | similar(rows, reviews, row) for row in batch]
    )
    own = every.iloc[LOG:].reset_index(drop=True)
    names = bundle.detector.encoding.names
    full = pd.concat([own, facts[[n for n in facts if n in names]].astype(float)], axis=1)
    counts = None
    if bundle.detector.text is not None:
        counts = counted(batch, bundle.detector.text.tags)
    return full, batch, counts


def test_scores_equal_those_of_plain_loops(scored, plain):
    scores, bundle = scored
    full, batch, counts = plain
    text, held = bundle.detector.text, None
    for name in ("history_account_decisions_90d", "similar_near_reviewed"):
        assert (full[name] > 0).any()
    if text is not None:
        present = np.array([isinstance(row["text"], str) for row in batch])
        views = {view: to_matrix(counts[view]) for view in text.views}
        held = TextCounts(present, full["enforced"].to_numpy(bool), views)
    X = bundle.detector.features_from_counts(full, held)
    p = bundle.probability(X, full, 1)
    assert scores["decision_id"].tolist() == full["decision_id"].tolist()
    np.testing.assert_allclose(scores["p_error"], p, rtol=0, atol=1e-12)


def test_texts_score_as_term_by_term(scored, plain):
    """The model's terms have 24 bits, as its weights have."""
    text = scored[1].detector.text
    if text is None:
        pytest.skip("this model has no text models")
    full, batch, counts = plain
    expected = [text_logits(text, counts, row, i) for i, row in enumerate(batch)]
    logits = np.full((len(full), len(RECIPES)), np.nan)
    logits[:, [RECIPES.index(recipe) for recipe in text.recipes]] = text.logits(full)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_groups_of_trees_add_up_to_one_prediction(scored, plain):
    X = scored[1].detector.features(plain[0])
    trees = [m.model for m in scored[1].detector.members if isinstance(m.model, lgb.Booster)]
    assert trees
    for model in trees:
        at_once = model.predict(X, raw_score=True)
        np.testing.assert_allclose(raw_scores(model, X, 2), at_once, rtol=0, atol=1e-12)
