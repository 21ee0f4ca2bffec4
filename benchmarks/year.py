"""A year dry: what stays wrong after 52 weeks with errdetect, with margin order, and with random order.

    python benchmarks/year.py [--seeds 21 22 23] [--a-week 500] [--minutes 0.1] [--weeks 52]

A simulated marketplace (drifting level, a changed policy) is known for 40 weeks. Then, week by week: a policy that
is new to the log begins, a bad release of the text model removes harmless items, and one review site fails. Every
way gets the same minutes of review a week, the same audit, appeals and golden items, and reviewers who err alike.
errdetect scores, queues, takes reviews in, plans reversals, monitors, retrains (every eight weeks, or after an
alarm), promotes what passes the gate, and reports each quarter, whose proposals are accepted. What its alarm names
is rolled back; others find the bad release after twelve weeks, with errdetect too where no alarm names it. A site
that the monitor warns about reviews no more. Only public functions of errdetect are called.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

import errdetect
from errdetect.data.action_meanings import ALLOW_ACTIONS
from errdetect.data.policy_catalogue import read_policies
from errdetect.findings.conditions import finding_mask
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.simulation.worlds import WorldSettings

HISTORY = 40  # weeks before the year
NEW_POLICY, NEW_FROM = "unsafe_products", 26
RELEASE, RELEASE_FROM, WITHDRAWN, RELEASE_SHARE = "4.0.0", 18, 12, 0.06
FAILING, FAILS_FROM = "gorse", 32
#: Probability that a reviewer of the queue misses an error, and of a false call; then of the failing site.
REVIEWER, FAILED = (0.12, 0.04), (0.55, 0.25)
RETRAIN_EVERY, REPORT_EVERY, REVERSE_FROM = 8, 13, 0.5
QUICK = ["train.trials=0", "evaluate.bootstrap=60", "gate.min_errors=20", "queue.explore_share=0.1"]
WEEK = pd.Timedelta(days=7)


@dataclass
class World:
    """Decisions with truth and week (0: the year's first), reviews, and who reviews."""

    decisions: pd.DataFrame
    reviews: pd.DataFrame
    start: pd.Timestamp
    harm: dict[tuple[str, str], float]
    seed: int

    def week(self, number: int, *, released: bool, accepted: "list[Change]") -> pd.DataFrame:
        """A week's decisions as the machine takes them: the bad release and accepted changes turn some."""
        rows = self.decisions[self.decisions["week"] == number].copy()
        turned = np.zeros(len(rows), bool)
        if released:
            own = (rows["moderator"] == "text-model").to_numpy()
            turned = own & rows["unlucky"].to_numpy() & ~rows["enforced"].to_numpy()
            rows.loc[own, "moderator_version"] = RELEASE
        by_release, was_wrong = turned, rows["is_error"].to_numpy()
        for change in accepted:
            turned = turned ^ change.turns(rows, rows["enforced"].to_numpy() ^ turned)
        rows = self._turn(rows, turned)
        wrong = rows["is_error"].to_numpy()
        rows["made_by"] = np.where(by_release & wrong & ~was_wrong, "release", "machine")
        rows.loc[turned & ~by_release & wrong & ~was_wrong, "made_by"] = "change"
        rows["mended"] = turned & ~by_release & was_wrong & ~wrong
        return rows

    def _turn(self, rows: pd.DataFrame, turned: np.ndarray) -> pd.DataFrame:
        rows["turned"] = turned
        was = rows["enforced"].to_numpy()
        rows["enforced"] = was ^ turned
        action = np.where(rows["enforced"], "remove", "approve")
        rows["action"] = np.where(turned, action, rows["action"])
        right = turned & rows["error_kind"].isin(["wrongful_action", "missed_violation"]).to_numpy()
        kind = np.where(rows["enforced"], "wrongful_action", "missed_violation")
        rows["error_kind"] = np.where(turned, kind, rows["error_kind"])
        rows["is_error"] = np.where(turned, ~right, rows["is_error"]).astype(bool)
        cost = [
            self.harm.get((p, k), 0.0)
            for p, k in zip(rows["policy_id"], rows["error_kind"], strict=True)
        ]
        weight = 1 + np.log1p(rows["exposure"].fillna(0))
        rows["harm"] = np.where(rows["is_error"], cost, 0.0) * weight
        return rows

    def answers(self, week: int, turned: pd.Series, *, fails: bool) -> pd.DataFrame:
        """The audit's, appeals' and golden answers that came in during a week, as of the turned decisions."""
        end = self.start + (week + 1) * WEEK
        known = self.reviews["reviewed_at"]
        rows = self.reviews[(known >= end - WEEK) & (known < end)].copy()
        flipped = rows["decision_id"].map(turned).fillna(False).to_numpy(bool)
        golden = (rows["source"] == "golden").to_numpy()
        rows = rows[~(flipped & golden)]  # a golden item is of the decision as it was
        flipped = flipped[~(flipped & golden)]
        rows["verdict"] = np.where(flipped, _opposite(rows["verdict"]), rows["verdict"])
        if fails:
            rng = np.random.default_rng([self.seed, 7, week])
            wrong = (rows["site"] == FAILING).to_numpy() & (rng.random(len(rows)) < 0.3)
            rows["verdict"] = np.where(wrong, _opposite(rows["verdict"]), rows["verdict"])
        return pd.concat([rows, self._settled(rows, "audit")], ignore_index=True)

    def _settled(self, rows: pd.DataFrame, source: str) -> pd.DataFrame:
        """Experts' answers on flags that none has settled."""
        flags = rows[(rows["source"] == source) & (rows["verdict"] != "upheld")]
        flags = flags.drop_duplicates("decision_id")
        done = self.reviews.loc[self.reviews["source"] == "adjudication", "decision_id"]
        flags = flags[~flags["decision_id"].isin(done)]
        return flags.assign(
            review_id="x" + flags["review_id"],
            source="adjudication",
            site="experts",
            reviewer_id=None,
            inclusion_probability=1.0,
            verdict="asked",
        )


def _opposite(verdict: pd.Series) -> np.ndarray:
    return np.where(verdict == "upheld", "overturned", "upheld")


@dataclass(frozen=True)
class Change:
    """An accepted proposal, as the platform carries it out from the next week on."""

    policy_id: str
    parts: tuple[dict[str, object], ...]
    threshold: float | None

    def turns(self, rows: pd.DataFrame, enforced: np.ndarray) -> np.ndarray:
        """Which decisions it turns: those across the new threshold, or the slice's."""
        inside = np.zeros(len(rows), bool)
        for part in self.parts:
            inside |= finding_mask(rows, {"policy_id": self.policy_id, **part})
        if self.threshold is None:
            return inside
        own = inside & rows["score"].notna().to_numpy()
        return own & (enforced != (rows["score"] >= self.threshold).to_numpy())


def make_world(seed: int, a_week: int) -> tuple[World, object]:
    weeks = HISTORY + 52
    market = simulate(
        weeks * a_week, weeks * 7, seed, audit_share=0.25, golden_share=0.03,
        world=WorldSettings(level_drift=1.0, drift_from=0.5),
    )  # fmt: skip
    log = market.decisions.merge(market.truth[["decision_id", "is_error", "error_kind"]])
    first = log["decided_at"].min().floor("D")
    start = first + HISTORY * WEEK
    log["week"] = ((log["decided_at"] - start) // WEEK).astype(int)
    log = log[(log["policy_id"] != NEW_POLICY) | (log["week"] >= NEW_FROM)].copy()
    log["enforced"] = ~log["action"].isin(ALLOW_ACTIONS)
    log["unlucky"] = np.random.default_rng([seed, 1]).random(len(log)) < RELEASE_SHARE
    reviews = market.reviews[market.reviews["decision_id"].isin(log["decision_id"])]
    return World(log.reset_index(drop=True), reviews, start, {}, seed), market


class Way:
    """What one way of reviewing corrects, week by week."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[pd.DataFrame] = []
        self.corrected: set[str] = set()
        self.spoiled: set[str] = set()
        self.reviews: list[dict[str, float]] = []

    def settle(self, answers: pd.DataFrame, truth: pd.Series) -> pd.DataFrame:
        """Let experts answer, and correct what audit and appeals found; returns the answers."""
        answers = answers.copy()
        asked = (answers["verdict"] == "asked").to_numpy()
        wrong = answers["decision_id"].map(truth).fillna(False).to_numpy(bool)
        answers.loc[asked, "verdict"] = np.where(wrong[asked], "overturned", "upheld")
        final = answers["source"].isin(["adjudication", "appeal", "report"])
        flagged = answers[final & (answers["verdict"] != "upheld")]["decision_id"]
        self.corrected |= set(flagged[flagged.map(truth).fillna(False)])
        return answers

    def table(self) -> pd.DataFrame:
        """Every decision of the year, with whether it stays wrong."""
        log = pd.concat(self.rows, ignore_index=True)
        log["stays"] = log["is_error"] & ~log["decision_id"].isin(self.corrected)
        log.loc[log["decision_id"].isin(self.spoiled), "stays"] = True
        return log


def review(rows: pd.DataFrame, rng: np.random.Generator, site_fails: bool) -> np.ndarray:
    """Which of the queue's decisions reviewers flag: they err, and the failing site more."""
    failing = site_fails & (rng.random(len(rows)) < 1 / 6)
    miss, false = (
        np.where(failing, FAILED[0], REVIEWER[0]),
        np.where(failing, FAILED[1], REVIEWER[1]),
    )
    return rng.random(len(rows)) < np.where(rows["is_error"], 1 - miss, false)


def by_order(world: World, name: str, minutes: float, weeks: int, withdrawn: int) -> Way:
    """A year of reviews in a fixed order; experts settle flags, and what they confirm is corrected."""
    way, turned, truth = Way(name), pd.Series(dtype=bool), pd.Series(dtype=bool)
    for week in range(weeks):
        rows = world.week(week, released=RELEASE_FROM <= week < withdrawn, accepted=[])
        rng = np.random.default_rng([world.seed, 3, week])
        key = (
            (rows["score"] - rows["threshold"]).abs()
            if name == "margin order"
            else rng.random(len(rows))
        )
        order = rows.iloc[np.argsort(np.asarray(key), kind="stable")]
        order = order[order["minutes"].cumsum() <= minutes * rows["minutes"].sum()]
        flagged = review(order, rng, week >= FAILS_FROM)
        found = order[flagged & order["is_error"].to_numpy()]
        way.corrected |= set(found["decision_id"])
        way.reviews.append({"week": week, "reviews": len(order), "found": len(found)})
        way.rows.append(rows)
        turned = pd.concat([turned, rows.set_index("decision_id")["turned"]])
        truth = pd.concat([truth, rows.set_index("decision_id")["is_error"]])
        way.settle(world.answers(week, turned, fails=week >= FAILS_FROM), truth)
    return way


@dataclass
class Operation:
    """The year with errdetect: its state between weeks, and what happened."""

    world: World
    place: Path
    minutes: float
    settings: list[str] = field(default_factory=lambda: list(QUICK))
    way: Way = field(default_factory=lambda: Way("errdetect"))
    accepted: list[Change] = field(default_factory=list)
    turned: pd.Series = field(default_factory=lambda: pd.Series(dtype=bool))
    truth: pd.Series = field(default_factory=lambda: pd.Series(dtype=bool))
    events: list[str] = field(default_factory=list)
    withdrawn: int | None = None
    site_out: int | None = None
    trained: int = -1

    @property
    def config(self) -> object:
        return errdetect.load_config(self.place / "config.yaml", self.settings)

    def note(self, week: int, text: str) -> None:
        self.events.append(f"week {week + 1}: {text}")
        print(self.events[-1], file=sys.stderr, flush=True)

    def run(self, weeks: int) -> None:
        self._begin()
        for week in range(weeks):
            alarmed = self._week(week)
            if alarmed or week - self.trained >= RETRAIN_EVERY:
                self._retrain(week)
            if (week + 1) % REPORT_EVERY == 0 and week + 1 < weeks:
                self._report(week)

    def _begin(self) -> None:
        (self.place / "log").mkdir()
        early = self.world.decisions[self.world.decisions["week"] < 0]
        self._write(early, "log/start.parquet")
        known = self.world.reviews["reviewed_at"] < self.world.start
        self.world.reviews[known].to_parquet(self.place / "reviews.parquet", index=False)
        until = self.world.start.date()
        since = (self.world.start - 13 * WEEK).date()
        (self.place / "config.yaml").write_text(
            "version: 1\ndata: {decisions: log/*.parquet, reviews: reviews.parquet, policies: policies.yaml}\n"
            f"monitor: {{reference_from: {since}, reference_to: {until}}}\n"
        )
        first = errdetect.train(self.config)
        if first.version is None:
            raise SystemExit(f"the gate took no first model: {first}")

    def _write(self, rows: pd.DataFrame, name: str) -> Path:
        ours = [
            "is_error",
            "error_kind",
            "week",
            "enforced",
            "unlucky",
            "minutes",
            "harm",
            "turned",
            "made_by",
            "mended",
        ]
        rows.drop(columns=ours, errors="ignore").to_parquet(self.place / name, index=False)
        return self.place / name

    def _week(self, week: int) -> bool:
        """One week of production; returns whether the monitor called an alarm."""
        released = (
            RELEASE_FROM
            <= week
            < min(self.withdrawn or RELEASE_FROM + WITHDRAWN, RELEASE_FROM + WITHDRAWN)
        )
        rows = self.world.week(week, released=released, accepted=self.accepted)
        self.way.rows.append(rows)
        self.turned = pd.concat([self.turned, rows.set_index("decision_id")["turned"]])
        self.truth = pd.concat([self.truth, rows.set_index("decision_id")["is_error"]])
        batch = self._write(rows, f"week{week:02}.parquet")
        self.settings.append(f"queue.minutes={self.minutes * rows['minutes'].sum()}")
        scored = errdetect.score(self.config, batch, self.place / "queue")
        self.settings.pop()
        batch.rename(self.place / "log" / batch.name)
        own = self._review(week, rows.set_index("decision_id", drop=False), scored)
        fails = week >= FAILS_FROM and (self.site_out is None or week < self.site_out)
        others = self.way.settle(self.world.answers(week, self.turned, fails=fails), self.truth)
        errdetect.ingest(self.config, pd.concat([own, others], ignore_index=True))
        if (week + 1) % 4 == 0:
            self._reverse()
        return self._monitor(week)

    def _review(self, week: int, rows: pd.DataFrame, scored: object) -> pd.DataFrame:
        """Reviewers answer the queue; what an expert confirms is corrected, with its identical content."""
        queue, scores = scored.queue, scored.scores  # type: ignore[attr-defined]
        queued = rows.loc[queue["decision_id"]]
        rng = np.random.default_rng([self.world.seed, 3, week])
        fails = week >= FAILS_FROM and (self.site_out is None or week < self.site_out)
        flagged = review(queued, rng, fails)
        right = flagged & queued["is_error"].to_numpy()
        same = scores["job_id"].isin(set(queued["decision_id"][right]))
        self._correct(scores.loc[same, "decision_id"])
        self.way.reviews.append({"week": week, "reviews": len(queued), "found": int(right.sum())})
        at = self.world.start + (week + 1) * WEEK - pd.Timedelta(hours=1)
        answers = pd.DataFrame(
            {
                "review_id": f"q{week}-" + queued["decision_id"],
                "decision_id": queued["decision_id"],
                "reviewed_at": at,
                "source": "re_review",
                "verdict": np.where(flagged, "overturned", "upheld"),
                "site": "birch",
                "inclusion_probability": queue["inclusion_probability"].to_numpy(),
            }
        )
        settled = answers[flagged].assign(
            review_id="x" + answers["review_id"], source="adjudication", site="experts",
            inclusion_probability=1.0, verdict=np.where(right[flagged], "overturned", "upheld"),
        )  # fmt: skip
        return pd.concat([answers, settled], ignore_index=True)

    def _correct(self, ids: pd.Series) -> None:
        wrong = ids.map(self.truth).fillna(False).to_numpy(bool)
        self.way.corrected |= set(ids[wrong])
        self.way.spoiled |= set(ids[~wrong]) & set(self.truth.index)

    def _reverse(self) -> None:
        plan = errdetect.remediate(self.config, self.place / "plan").plan
        self._correct(plan.loc[plan["status"] == "planned", "decision_id"].dropna())

    def _monitor(self, week: int) -> bool:
        found = errdetect.monitor(self.config, self.place / "monitor", send=False)
        checks = found.checks
        sites = checks[(checks["check"] == "golden_accuracy") & (checks["status"] == "warn")]
        for site in sites["segment"]:
            if site == f"site={FAILING}" and self.site_out is None and week >= FAILS_FROM:
                self.site_out = week + 1
                self.note(week, f"the monitor warns of {site}, which reviews no more")
        if not found.is_alert:
            return False
        alarms = checks[(checks["status"] == "alarm") & (checks["check"] == "audited_error")]
        text = "; ".join(
            f"{s}: {n}" for s, n in zip(alarms["segment"], alarms["note"], strict=True)
        )
        self.note(week, f"alarm, cause {found.cause or 'open'}: {text}")
        if (
            week >= RELEASE_FROM
            and self.withdrawn is None
            and f"version text-model {RELEASE}" in text
        ):
            self.withdrawn = week + 1
            self.note(week, f"release {RELEASE} is rolled back")
        since = (self.world.start + (week + 1) * WEEK).date()
        self.settings = [s for s in self.settings if not s.startswith("monitor.since")]
        self.settings.append(f"monitor.since={since}")
        return True

    def _retrain(self, week: int) -> None:
        self.trained = week
        trained = errdetect.train(self.config, promote=False)
        lead = champion_lead(trained.gate)
        if not trained.version:
            self.note(week, f"retrained; the gate takes no new model ({trained.answer}){lead}")
            return
        got = errdetect.promote(self.config, by="year")
        self.note(week, f"retrained; version {got.version} {got.answer}{lead}")

    def _report(self, week: int) -> None:
        errdetect.report(self.config, self.place / "report")
        known = pd.read_parquet(self.place / "report/tables/findings.parquet").set_index(
            "finding_id"
        )
        table = errdetect.proposals(self.config).proposals
        open_ = table[table["state"] == "proposed"]
        since = (self.world.start + (week + 1) * WEEK).to_pydatetime()
        n_done = 0
        for row in open_.to_dict("records"):
            errdetect.proposals(self.config, accept=row["proposal_id"], by="owner", effective=since)
            parts = tuple(json.loads(row["expected"]).get("parts", ()))
            rate = known["error_rate"].get(row["finding_id"], 0.0)
            to = re.search(r"threshold from [\d.]+ to ([\d.]+)", row["rule"] or "")
            if row["kind"] == "threshold" and to:
                self.accepted.append(Change(row["policy_id"], parts, float(to[1])))
            elif rate >= REVERSE_FROM:
                self.accepted.append(Change(row["policy_id"], parts, None))
            else:
                continue
            n_done += 1
        self.note(
            week, f"{len(open_)} proposals accepted, {n_done} of them change decisions at once"
        )


def champion_lead(gate: pd.DataFrame) -> str:
    """Tell the new model's lead over the champion in average precision, with its 90 % interval."""
    rows = gate[
        (gate["against"] == "champion")
        & (gate["measure"] == "average_precision")
        & (gate["group"] == "")
    ]
    return "".join(
        f"; average precision {value:.3f} against the champion's {other:.3f}, lead {lead:+.3f} "
        f"({low:+.3f} to {high:+.3f}), {errors:.0f} held-out errors"
        for value, other, lead, low, high, errors in rows[
            ["value", "other", "lead", "low", "high", "n_errors"]
        ].itertuples(index=False)
    )


def made(way: Way) -> str:
    """Count the year's errors by who made them, and the machine's that an accepted change put right."""
    log = way.table()
    by = log.loc[log["is_error"], "made_by"].value_counts()
    return (
        f"{way.name}: {by.get('machine', 0):,} by the machine, {by.get('release', 0):,} by the bad release, "
        f"{by.get('change', 0):,} by accepted changes, which put {log['mended'].sum():,} right"
    )


def quarters(way: Way) -> list[str]:
    log, reviews = way.table(), pd.DataFrame(way.reviews)
    rows = []
    for number in range(4):
        own = log[log["week"] // 13 == number]
        work = reviews[reviews["week"] // 13 == number]
        if len(own):
            found = work["found"].sum() / max(work["reviews"].sum(), 1)
            rows.append(f"| {way.name} | {number + 1} | {own['is_error'].mean():.2%} | {own['stays'].mean():.2%} "
                        f"| {own.loc[own['stays'], 'harm'].sum():,.0f} | {found:.1%} |")  # fmt: skip
    return rows


def harm(way: Way) -> float:
    log = way.table()
    return float(log.loc[log["stays"], "harm"].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22, 23])
    parser.add_argument("--a-week", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=0.1)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/year.md")
    given = parser.parse_args()
    shares: list[float] = []
    details: list[str] = []
    for seed in given.seeds:
        share, lines = one_year(seed, given)
        shares.append(share)
        details += ["", f"## Seed {seed}", "", *lines]
        given.out.write_text(
            "\n".join([*summary(given, shares), *details]) + "\n", encoding="utf-8"
        )
    print("\n".join([*summary(given, shares), *details]))


def summary(given: argparse.Namespace, shares: list[float]) -> list[str]:
    seeds = " ".join(str(seed) for seed in given.seeds[: len(shares)])
    return [
        "# A year dry",
        "",
        f"`python benchmarks/year.py --seeds {seeds} --a-week {given.a_week} --minutes {given.minutes}`",
        "",
        f"{given.weeks} weeks of {given.a_week} decisions; {given.minutes:.0%} of all review minutes a week; "
        f"a drifting level; a policy new in week {NEW_FROM + 1}; a bad release in week {RELEASE_FROM + 1} "
        f"({RELEASE_SHARE:.0%} of the text model's allowed items are removed), withdrawn after {WITHDRAWN} weeks "
        f"unless an alarm names it earlier; a failing site from week {FAILS_FROM + 1}.",
        "",
        f"Harm that stays with errdetect, of margin order's at the same minutes: {np.mean(shares):.2f} in the mean of "
        f"{len(shares)} years, {min(shares):.2f} to {max(shares):.2f}.",
    ]


def one_year(seed: int, given: argparse.Namespace) -> tuple[float, list[str]]:
    """Run one simulated year; return the share of margin order's harm that stays, and the lines to show."""
    began = time.process_time()
    world, market = make_world(seed, given.a_week)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_marketplace(market, place)  # type: ignore[arg-type]
        policies = read_policies(place / "policies.yaml")
        kinds = ("wrongful_action", "missed_violation", "wrong_label")
        world.harm.update({(p, k): policies[p].harm(k) for p in policies for k in kinds})
        world.decisions["minutes"] = [
            float(policies[p].review_minutes or 1) for p in world.decisions["policy_id"]
        ]
        ours = Operation(world, place, given.minutes)
        ours.run(given.weeks)
    spent = time.process_time() - began
    unnoticed = RELEASE_FROM + WITHDRAWN
    rolled = unnoticed if ours.withdrawn is None else ours.withdrawn
    ways = [ours.way]
    for name in ("margin order", "random order"):
        ways.append(by_order(world, name, given.minutes, given.weeks, unnoticed))
        if rolled < unnoticed:
            same = by_order(world, name, given.minutes, given.weeks, rolled)
            same.name += ", release withdrawn as early"
            ways.append(same)
    return harm(ours.way) / harm(ways[1]), describe(ours, ways, spent)


def describe(ours: Operation, ways: list[Way], spent: float) -> list[str]:
    margin = harm(ways[1])
    lines = [
        "| way | errors made | errors that stay | harm that stays | of margin order's | reviews | errors a review |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for way in ways:
        log, work = way.table(), pd.DataFrame(way.reviews).sum()
        lines.append(
            f"| {way.name} | {log['is_error'].mean():.2%} | {log['stays'].mean():.2%} | {harm(way):,.0f} "
            f"| {harm(way) / margin:.2f} | {work['reviews']:,.0f} | {work['found'] / work['reviews']:.1%} |"
        )
    lines += [
        "",
        f"Reversed wrongly with errdetect: {len(ours.way.spoiled):,} decisions, counted among those that stay wrong.",
        f"Errors made: {made(ways[0])}; {made(ways[1])}.",
        "",
        "| way | quarter | errors made | errors that stay | harm that stays | errors a review |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for way in ways:
        if "," not in way.name:
            lines += quarters(way)
    lines += ["", "What happened:", "", *(f"- {event}" for event in ours.events)]
    return [*lines, "", f"{spent:.0f} processor seconds for the year with errdetect."]


if __name__ == "__main__":
    main()
