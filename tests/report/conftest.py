"""A made-up but realistic month of a marketplace, for the report's tests and for looking at it."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from errdetect.data.policy_catalogue import Policy
from errdetect.report.report import ReportContent

POLICIES = [
    ("counterfeit", "Counterfeit goods", 4, 0.121),
    ("prohibited_medical", "Prohibited medical products", 5, 0.094),
    ("adult", "Adult content", 3, 0.083),
    ("weapons", "Weapons and their parts", 5, 0.071),
    ("misleading_claims", "Misleading claims", 3, 0.066),
    ("spam", "Spam and keyword stuffing", 1, 0.052),
    ("hate", "Hateful content", 5, 0.049),
    ("ip_trademark", "Trademark use without permission", 3, 0.044),
    ("animal", "Live animals and animal parts", 4, 0.038),
    ("tobacco", "Tobacco and vapes", 3, 0.031),
    ("image_quality", "Image quality", 1, 0.027),
    ("gambling", "Gambling", 3, 0.022),
    ("recalled", "Recalled products", 5, 0.035),
    ("digital_goods", "Digital goods", 2, 0.03),
]
MARKETS = ["DE", "FR", "IT", "ES", "PL", "NL", "SE", "GB", "US", "BR", "MX", "JP", "TR", "SA"]
LANGUAGES = ["de", "fr", "it", "es", "pl", "nl", "sv", "en", "pt", "ja", "tr", "ar"]
MODERATORS = ["image-cnn 4.2", "text-transformer 2.0", "keyword-rules 17", "seller-risk 1.3"]
REASONS = [
    ("margin", "The machine's score is close to its bar"),
    ("seller_overturned", "Earlier removals of this seller under the policy were overturned"),
    ("category", "The item is in the category Spare parts"),
    ("language", "The text is in a language that the moderator was hardly trained on"),
    ("words", "The text has words such as “replica stand” or “compatible with”"),
    ("version", "The moderator's version changed in the last 14 days"),
    ("short", "The text is very short"),
]
TEXTS = [
    "Compatible with Makita 18V: battery charger DC18RC replica stand, new, original box",
    "حقيبة جلدية أصلية مع شهادة ضمان من المتجر، توصيل سريع",
    "Teebaum-Öl 100 % naturrein, hilft bei unreiner Haut, 30 ml Braunglasflasche 🌿",
    "Vintage Spielzeugpistole aus Blech, 1960er, Sammlerstück, nicht schussfähig",
    'Nice <b>bag</b> <script>alert("x")</script> "><img src=x onerror=alert(1)>',
    "Family photo frame \u202egnp.emarf\u202c with hidden\u200btext",
    "3 Stück Ersatzfilter für Verdampfer, lebensmittelecht 👩‍🔬👍🏽",
]


def rate_row(measure, rate, n_reviews, n_decisions, proxy=None, suppressed=False):
    """One row of estimates with a plausible interval."""
    half = 1.96 * np.sqrt(max(rate * (1 - rate), 1e-6) / max(n_reviews, 1))
    held = np.nan if suppressed else 1.0
    return {
        "measure": measure,
        "estimate": rate * held,
        "low": max(rate - 0.93 * half, 0.0) * held,
        "high": min(rate + 1.07 * half, 1.0) * held,
        "n_reviews": n_reviews,
        "n_decisions": n_decisions,
        "method": "M.1t",
        "proxy": proxy,
        "bound_low": 0.02 * rate,
        "bound_high": min(1.0, 0.95 + rate / 20),
        "suppressed": suppressed,
    }


def whole_rows(n_reviews=6021, n_decisions=120_417, suppressed=False):
    """The whole's measures."""
    enforced = int(0.31 * n_reviews), int(0.31 * n_decisions)
    allowed = n_reviews - enforced[0], n_decisions - enforced[1]
    return pd.DataFrame(
        [
            rate_row("error_rate", 0.057, n_reviews, n_decisions, 0.012, suppressed),
            rate_row("wrongful_rate", 0.089, *enforced, 0.038, suppressed),
            rate_row("missed_rate", 0.0426, *allowed, None, suppressed),
            rate_row("precision", 0.911, *enforced, 0.962, suppressed),
            rate_row("recall", 0.83, int(1.1 * enforced[0]), n_decisions, None, suppressed),
            rate_row("accuracy", 0.943, n_reviews, n_decisions, 0.988, suppressed),
        ]
    )


def by_frame(name, values, rates, seed=1):
    """Estimates by one column; every sixth value or so has too few reviews."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, (value, rate) in enumerate(zip(values, rates, strict=True)):
        few = i % 6 == 5
        n = int(rng.integers(3, 25)) if few else int(rng.integers(150, 900))
        decisions = 20 * n
        for measure, factor in (("error_rate", 1.0), ("wrongful_rate", 1.5), ("missed_rate", 0.7)):
            row = rate_row(measure, min(rate * factor, 1), n, decisions, rate / 5, few)
            rows.append({name: value, **row})
    return pd.DataFrame(rows)


def driver_frame(policy_ids, seed=2):
    """Reasons for all policies and for each."""
    rng = np.random.default_rng(seed)
    rows = []
    for policy_id in [None, *policy_ids]:
        shares = np.sort(rng.dirichlet(np.full(len(REASONS), 0.8)))[::-1]
        order = rng.permutation(len(REASONS))
        for share, at in zip(shares, order, strict=True):
            code, text = REASONS[at]
            rows.append(
                {
                    "policy_id": policy_id,
                    "code": code,
                    "text": text,
                    "share": float(share),
                    "n_decisions": int(4000 * share) + 3,
                    "example_ids": [f"d{rng.integers(10**6):07d}" for _ in range(3)],
                }
            )
    return pd.DataFrame(rows)


def queue_frame(policy_ids, n=25, texts=TEXTS, seed=3):
    """The head of the queue."""
    rng = np.random.default_rng(seed)
    p = np.sort(rng.beta(4, 3, n))[::-1]
    rows = []
    for i in range(n):
        reasons = [
            {"code": c, "text": t, "contribution": float(w)}
            for (c, t), w in zip(REASONS[: 3 + i % 3], [0.9, 0.4, 0.2, -0.3, -0.1], strict=False)
        ]
        rows.append(
            {
                "decision_id": f"d{rng.integers(10**6):07d}",
                "rank": i + 1,
                "p_error": float(p[i]),
                "error_kind": ["wrongful_action", "missed_violation", "wrong_label"][i % 3],
                "expected_harm": float(p[i] * (1 + i % 5)),
                "arm": "explore" if i % 8 == 7 else "ranked",
                "reasons": reasons,
                "policy_id": policy_ids[i % len(policy_ids)],
                "action": ["remove", "approve", "demote"][i % 3],
                "market": MARKETS[i % len(MARKETS)],
                "language": LANGUAGES[i % len(LANGUAGES)],
                "text": texts[i % len(texts)],
            }
        )
    table = pd.DataFrame(rows).sort_values("expected_harm", ascending=False, ignore_index=True)
    return table.assign(rank=range(1, n + 1))


def evaluation_frame():
    """The ranking against three others."""
    found = {
        "model": ([0.11, 0.38, 0.55, 0.74], 0.44),
        "segment_rate": ([0.09, 0.29, 0.44, 0.62], 0.33),
        "margin": ([0.04, 0.21, 0.37, 0.58], 0.25),
        "random": ([0.01, 0.05, 0.1, 0.2], 0.06),
    }
    rows = []
    for method, (recalls, precision) in found.items():
        names = [f"recall_at_{b}" for b in (1, 5, 10, 20)]
        for metric, value in zip([*names, "average_precision"], [*recalls, precision], strict=True):
            half = 0.05 * (value + 0.1)
            rows.append(
                {
                    "method": method,
                    "metric": metric,
                    "value": value,
                    "low": value - half,
                    "high": value + half,
                }
            )
    return pd.DataFrame(rows)


def reliability_frame():
    """Ten groups, most of which hold."""
    said = [0.004, 0.008, 0.012, 0.018, 0.026, 0.039, 0.06, 0.1, 0.19, 0.44]
    seen = [0.003, 0.009, 0.011, 0.02, 0.022, 0.041, 0.058, 0.11, 0.17, 0.36]
    pairs = zip(said, seen, strict=True)
    rows = [
        {"predicted": s, "observed": o, "low": 0.8 * o, "high": 1.2 * o, "n": 2408}
        for s, o in pairs
    ]
    return pd.DataFrame(rows)


def segment_frame(name="DE"):
    """Two markets, one of which the model is wrong about."""
    row = {"column": "market", "predicted": 0.06, "low": 0.05, "high": 0.12, "n": 900}
    good = {**row, "value": "FR", "observed": 0.061, "differs": False}
    return pd.DataFrame([good, {**row, "value": name, "observed": 0.11, "differs": True}])


PEOPLE = ["reviewer-0a1b2c3d4e5f", "reviewer-99aa88bb77cc"]


def card_frame(sites=("alder", "birch", "cedar"), people=PEOPLE):
    """Cards of sites and of two reviewers at each; the last site has too few items."""
    rows = []
    measures = {
        "accuracy": 0.93,
        "missed_violation": 0.081,
        "wrongful_call": 0.034,
        "flags_confirmed": 0.8,
        "peer_agreement": 0.94,
        "minutes": 2.5,
    }
    for i, site in enumerate(sites):
        for who in [None, *(f"{p[:-1]}{i}" for p in people)]:
            for measure, value in measures.items():
                few = i == len(sites) - 1 and i > 0
                n = 12 if few else 412
                held = np.nan if few else 1.0
                needed = who is None and measure in ("missed_violation", "wrongful_call")
                rows.append(
                    {
                        "site": site,
                        "reviewer": who,
                        "measure": measure,
                        "value": value * held,
                        "low": 0.8 * value * held,
                        "high": min(1.1 * value, value + 0.05) * held,
                        "n": float(n),
                        "suppressed": few,
                        "basis": "dawid_skene",
                        "note": "too few: 12" if few else "",
                        "golden_needed": 301 if needed else None,
                    }
                )
    return pd.DataFrame(rows).astype({"golden_needed": "Int64"})


def agreement_frame(policies=("spam", "hate", "adult")):
    """Agreement over all decisions and by policy; the last has too little overlap."""
    rows = []
    for i, (policy, alpha) in enumerate(
        zip([None, *policies], [0.74, 0.9, 0.4, 0.6], strict=False)
    ):
        few = i == len(policies)
        held = np.nan if few else 1.0
        rows.append(
            {
                "policy_id": policy,
                "alpha": alpha * held,
                "low": (alpha - 0.05) * held,
                "high": (alpha + 0.05) * held,
                "observed": 0.91,
                "n_decisions": 12 if few else 640,
                "n_reviews": 1300,
                "note": "12 decisions were judged by two or more people; 30 are needed."
                if few
                else "",
            }
        )
    return pd.DataFrame(rows)


def plan_row(site="alder", **changes):
    """A site's inspection plan."""
    row = {
        "site": site,
        "lot_from": "2025-04-24",
        "lot_to": "2025-04-30",
        "lot_size": 412,
        "letter": "H",
        "n": 50,
        "accept": 1,
        "reject": 2,
        "stage": "normal",
        "lots": 0,
        "aql": 1.0,
        "note": "no week before it tells: the expert saw no random part of its reviews",
    }
    return {**row, **changes}


def training_frame(sites=("alder", "birch"), policies=("spam", "hate")):
    """Mistakes by site and policy: the first needs training, the last has too few items."""
    rows = []
    for site in sites:
        for policy in policies:
            for measure in ("missed_violation", "wrongful_call"):
                first, few = not rows, len(rows) == 7
                value = np.nan if few else 0.34 if first else 0.05
                rows.append(
                    {
                        "site": site,
                        "policy_id": policy,
                        "measure": measure,
                        "value": value,
                        "low": 0.6 * value,
                        "high": 1.4 * value,
                        "n": 4.2 if few else 61.0,
                        "others": np.nan if few else 0.06,
                        "excess": value - 0.06,
                        "excess_low": 0.6 * value - 0.07,
                        "excess_high": 1.4 * value,
                        "needed": first,
                        "suppressed": few,
                        "reviews_needed": 40 if few else None,
                        "cases": ["d0000001", "d0000002"] if first else [],
                    }
                )
    return pd.DataFrame(rows)


def mixup_frame(pairs=(("hate", "adult"), ("adult", "hate"), ("spam", "weapons"))):
    """Mixed-up policies; the first two collide."""
    rows = [
        {
            "policy_id": one,
            "correct_policy_id": other,
            "share": 0.12,
            "low": 0.06,
            "high": 0.2,
            "n_reviews": 90,
            "n_mixed": 11,
            "n_decisions": 80.4,
            "n_decisions_low": 40.0,
            "n_decisions_high": 133.0,
            "both_ways": (other, one) in pairs,
            "suppressed": False,
            "examples": ["d0000003"],
        }
        for one, other in pairs
    ]
    return pd.DataFrame(rows)


def work_frame(sites=("alder", "birch", None)):
    """Three weeks of reviews by site; one without a name."""
    weeks = pd.date_range("2025-04-09", periods=3, freq="7D", tz="UTC")
    rows = [
        {
            "week_start": week,
            "site": site,
            "n_reviews": 70 * (i + 1),
            "median_days": 1.5,
            "median_minutes": 2.4,
        }
        for i, week in enumerate(weeks)
        for site in sites
        if not (site == "birch" and i == 1)
    ]
    return pd.DataFrame(rows)


def draw_frame():
    """One draw that is reviewed, and one that is late."""
    day = pd.to_datetime(["2025-04-20", "2025-03-20"], utc=True)
    return pd.DataFrame(
        {
            "draw_id": ["audit-b", "audit-a"],
            "drawn_at": day,
            "due_at": day + pd.Timedelta(days=14),
            "n_drawn": [300, 300],
            "n_reviewed": [120, 300],
            "n_open": [180, 0],
            "response": [0.4, 1.0],
            "state": ["overdue", "complete"],
        }
    )


def appeal_frame(policies=("spam", "hate", None)):
    """Appeals that wait: some late, and some of decisions that the log lacks."""
    return pd.DataFrame(
        {
            "policy_id": pd.Series(policies, dtype="str"),
            "n_open": [40, 12, 3],
            "n_overdue": [5, 0, 0],
            "n_due_soon": [9, 4, 0],
            "oldest_days": [21.4, 6.0, 2.0],
        }
    )


def remedy_frame(account="a17"):
    """A penalty to revoke, one that needs a check, and a label to correct."""
    kinds = ["reverse", "revoke_penalty", "revoke_penalty", "relabel"]
    return pd.DataFrame(
        {
            "kind": kinds,
            "decision_id": ["d1", "d1", "d2", "d3"],
            "account_id": account,
            "policy_id": "spam",
            "evidence": "1 of 1 counting reviews flag it.",
            "status": ["planned", "planned", "review", "planned"],
        }
    )


def policy_market_frame(policies, markets):
    """Error rates by policy and market; some with too few reviews."""
    rows = []
    for i, policy in enumerate(policies):
        for j, market in enumerate(markets):
            row = rate_row(
                "error_rate", 0.02 + 0.01 * ((i + j) % 7), 200, 4000, None, (i * j) % 5 == 4
            )
            rows.append({"policy_id": policy, "market": market, **row})
    return pd.DataFrame(rows)


def effect_frame(policy_id="spam"):
    """One change that helped, and one that nobody can judge yet."""
    day = pd.Timestamp("2025-03-01", tz="UTC")
    row = {
        "proposal_id": "P-1",
        "policy_id": policy_id,
        "measure": "error_rate",
        "effective_from": day,
        "until": day + pd.Timedelta(days=40),
        "n_before": 300,
        "n_after": 240,
        "before": 0.2,
        "after": 0.09,
        "without": 0.19,
        "estimate": -0.1,
        "all_low": -0.16,
        "all_high": -0.03,
        "verdict": "improved",
    }
    unknown = dict.fromkeys(
        ("before", "after", "without", "estimate", "all_low", "all_high"), np.nan
    )
    return pd.DataFrame([row, {**row, **unknown, "proposal_id": "P-2", "verdict": "unknown"}])


def answers():
    """The parts that answer single questions."""
    ids = [p[0] for p in POLICIES]
    return {
        "training_needs": training_frame(policies=ids[:2]),
        "label_mixups": mixup_frame(),
        "review_work": work_frame(),
        "audit_draws": draw_frame(),
        "open_appeals": appeal_frame(),
        "policy_markets": policy_market_frame(ids[:6], MARKETS[:5]),
        "remedies": remedy_frame(),
        "effects": effect_frame(ids[0]),
    }


def trend_frame():
    """Nine months, one of them with too few reviews."""
    months = pd.date_range("2024-08-01", periods=9, freq="MS", tz="UTC")
    rows = []
    for measure, rates in (
        ("error_rate", [7.6, 7.4, 7.5, 6.9, 6.8, 6.1, 6.2, 5.6, 5.7]),
        ("wrongful_rate", [9.1, 9.4, 8.8, 9.0, 9.3, 8.7, 9.1, 9.2, 8.9]),
        ("missed_rate", [6.9, 6.5, 6.9, 6.0, 5.7, 5.0, 4.9, 4.1, 4.3]),
    ):
        for i, (month, rate) in enumerate(zip(months, rates, strict=True)):
            few = i == 3
            row = rate_row(measure, rate / 100, 12 if few else 1500, 13_000, None, few)
            rows.append({"period_start": month, **row})
    return pd.DataFrame(rows)


def build_content(**changes):
    """The whole content; `changes` replace its parts."""
    ids = [p[0] for p in POLICIES]
    rng = np.random.default_rng(7)
    parts = {
        "title": "How the machine decided in April 2025",
        "generated_at": datetime(2025, 5, 6, 4, 0, tzinfo=UTC),
        "data_name": "Marketplace EU",
        "period": (datetime(2025, 4, 1, tzinfo=UTC), datetime(2025, 4, 30, tzinfo=UTC)),
        "n_decisions": 120_417,
        "n_reviews": {"audit": 6021, "appeal": 812, "re_review": 2400, "adjudication": 644},
        "estimates": {
            "whole": whole_rows(),
            "policy_id": by_frame("policy_id", ids, [p[3] for p in POLICIES]),
            "market": by_frame("market", MARKETS, rng.uniform(0.03, 0.1, len(MARKETS)), 4),
            "language": by_frame("language", LANGUAGES, rng.uniform(0.03, 0.1, 12), 5),
            "moderator": by_frame("moderator", MODERATORS, [0.041, 0.058, 0.112, 0.05], 6),
        },
        "policies": {
            i: Policy(
                i,
                name,
                severity,
                owner="Product safety team" if severity > 3 else "Listings team",
                clause=f"Items are not allowed where they fall under “{name}”. Spare parts and "
                "accessories that say plainly what they fit are allowed.",
            )
            for i, name, severity, _ in POLICIES[:-1]
        },
        "drivers": driver_frame(ids[:10]),
        "queue_head": queue_frame(ids),
        "n_queued": 1000,
        "evaluation": evaluation_frame(),
        "evaluated_on": "Measured on 24,083 decisions of 20 to 30 April, which the model had not "
        "seen.",
        "reliability": reliability_frame(),
        "reliability_by": segment_frame(),
        "reviewers": card_frame(),
        "agreement": agreement_frame(),
        "inspection": pd.DataFrame([plan_row(s) for s in ("alder", "birch", "cedar")]),
        "reviewer_notes": ["Golden reviews: 12 of items that violate; 30 of each are needed."],
        "trend": trend_frame(),
        "label_states": {"matured": 9_120, "pending": 3_410, "censored": 107_887},
        "notes": [
            "Reviewers of the audit were checked against golden items; the intervals include what "
            "is not known about their own errors.",
            "644 flagged reviews were settled by an expert.",
        ],
        "model": {
            "version": "7 (champion)",
            "trained_at": datetime(2025, 5, 1, tzinfo=UTC),
            "trained_on": "86,200 decisions with a known answer",
        },
    }
    return ReportContent(**{**parts, **changes})


WHERE = ["market is DE", "moderator is text-transformer 2.0 and language is pl", "price below 12.5"]
CAUSES = ["machine_fault", "threshold", "policy_ambiguity", "account_cluster"]


def volume_frame(policy_ids):
    """What is known of each policy without an estimate."""
    return pd.DataFrame(
        {
            "policy_id": policy_ids,
            "n_decisions": [9000 - 300 * i % 8000 for i in range(len(policy_ids))],
            "n_enforced": 1200,
            "n_reviews": 430,
            "n_overturned": 31,
        }
    )


def slice_frame(policy_ids, per=3):
    """Rules under which each policy errs more; the last of each is a hint only."""
    rows = [
        {
            "policy_id": policy_id,
            "rule": WHERE[i % 3],
            "conditions": [{"column": "market", "op": "==", "value": "DE"}],
            "n": 900 - 10 * i,
            "error_rate": 0.21 - 0.02 * i,
            "low": 0.15 - 0.02 * i,
            "high": 0.28,
            "base_rate": 0.06,
            "q_value": 0.004,
            "confirmed": i < per - 1,
            "error_kind": "wrongful_action",
            "n_reviews": 120,
            "n_accounts": 410,
            "harm_saved": 140.0 - 20 * i,
            "harm_saved_low": 90.0 - 20 * i,
            "harm_saved_high": 200.0,
        }
        for policy_id in policy_ids
        for i in range(per)
    ]
    return pd.DataFrame(rows)


def finding_frame(policy_ids, per=2):
    """Findings with their likely cause."""
    slices = slice_frame(policy_ids, per + 1)
    n = len(slices)
    return slices.assign(
        finding_id=[f"f{i:06d}" for i in range(n)],
        kind="slice",
        cause=[CAUSES[i % 4] for i in range(n)],
        cause_text="People agree with each other on 94 % of these and differ from the machine.",
        confidence="likely",
        runner_up=[CAUSES[(i + 1) % 4] for i in range(n)],
        account_ids=[["a1", "a2"]] * n,
    )


def threshold_frame(policy_ids, moderators=("image-cnn 4.2",), points=19):
    """What other bars would bring; nothing supports the lowest ones."""
    rows = []
    for policy_id in policy_ids:
        for moderator in moderators:
            for i, bar in enumerate(np.linspace(0.3, 0.9, points)):
                supported = bar > 0.42
                held = 1.0 if supported else np.nan
                wrongful, missed = 900 - 900 * (bar - 0.3), 40 + 400 * (bar - 0.3) ** 2
                harm = 300 * (bar - 0.7) ** 2 + 100
                row = {"policy_id": policy_id, "moderator": moderator, "market": None}
                row |= {"threshold": bar, "current": i == 9, "supported": supported}
                for name, value in (("wrongful", wrongful), ("missed", missed), ("harm", harm)):
                    row |= {
                        name: value * held,
                        f"{name}_low": 0.8 * value * held,
                        f"{name}_high": 1.2 * value * held,
                    }
                row |= {"n_enforced": 4000 - 120 * i, "n_near_threshold": 900.0 - 10 * i}
                rows.append(row | {"recommended": i == 12})
    return pd.DataFrame(rows)


def case_frame(policy_ids, per=3):
    """Cases of each policy, most with a similar decision that was right."""
    parts = [
        queue_frame([policy_id], per, seed=i).assign(
            contrast_id=[f"right-{k}" if k != 1 else None for k in range(per)],
            contrast_text=TEXTS[i % len(TEXTS)],
            contrast=[
                "The seller is older there, and the text names no brand." if k != 1 else None
                for k in range(per)
            ],
        )
        for i, policy_id in enumerate(policy_ids)
    ]
    return pd.concat(parts, ignore_index=True)


def proposal_frame(policy_ids):
    """A change for each policy, in turn waiting, accepted with an effect, and closed."""
    rows = [
        {
            "proposal_id": f"p-{i:04d}",
            "policy_id": policy_id,
            "change": "Raise the bar of image-cnn 4.2 from 0.60 to 0.70",
            "state": ["proposed", "accepted", "closed"][i % 3],
            "effective_from": [None, "2025-03-01", "2025-02-01"][i % 3],
            "effect": [None, -0.031, None][i % 3],
            "effect_low": [None, -0.05, None][i % 3],
            "effect_high": [None, -0.012, None][i % 3],
            "brief": f"briefs/{policy_id}-bar.md",
        }
        for i, policy_id in enumerate(policy_ids)
    ]
    return pd.DataFrame(rows)


def target_frame(policy_ids):
    """A target for each policy, in turn missed, met and not to be told; and one for a site."""
    rows = [
        {
            "policy_id": policy_id,
            "market": None,
            "site": None,
            "measure": "wrongful_rate",
            "limit": 0.03,
            "estimate": [0.09, 0.012, 0.032][i % 3],
            "low": [0.06, 0.006, 0.02][i % 3],
            "high": [0.13, 0.021, 0.05][i % 3],
            "status": ["missed", "met", "cannot_tell"][i % 3],
            "n_reviews": 300,
            "reviews_needed": [None, None, 1200][i % 3],
        }
        for i, policy_id in enumerate(policy_ids)
    ]
    site = rows[0] | {"policy_id": None, "site": "alder", "measure": "reviewer_accuracy"}
    well = {"limit": 0.9, "estimate": 0.93, "low": 0.91, "high": 0.95, "status": "met"}
    return pd.DataFrame([*rows, site | well])


def account_frame(policy_ids):
    """Accounts whose enforced decisions are mostly wrong."""
    row = {"n": 14, "wrongful_rate": 0.86, "low": 0.6, "high": 0.97, "evidence": "12 of 14 wrong"}
    return pd.DataFrame(
        [{"account_id": f"seller-{i}", "policy_id": p, **row} for i, p in enumerate(policy_ids)]
    )


def policy_trend_frame(policy_ids):
    """Two months of each policy, the second clearly better."""
    parts = []
    for policy_id in policy_ids:
        for month, rate in (("2025-03-01", 0.12), ("2025-04-01", 0.05)):
            row = rate_row("error_rate", rate, 800, 9000)
            parts.append({"policy_id": policy_id, "period_start": month, **row})
    return pd.DataFrame(parts)


def full_content(ids=None, **changes):
    """The content with findings, what-ifs, cases, proposals and targets of every policy."""
    ids = [p[0] for p in POLICIES] if ids is None else ids
    steps = [{"policy_id": ids[0], "step": 1, "words": "Mend where market is DE: 1.4 points."}]
    parts = {
        "volumes": volume_frame(ids),
        "trend_by": policy_trend_frame(ids[:5]),
        "slices": slice_frame(ids),
        "thresholds": threshold_frame(ids),
        "findings": finding_frame(ids),
        "cases": case_frame(ids),
        "proposals": proposal_frame(ids),
        "targets": target_frame(ids),
        "plan": pd.DataFrame(steps),
        "whitelist": account_frame(ids[:7]),
        "drivers": driver_frame(ids).assign(
            low=lambda d: 0.8 * d["share"],
            high=lambda d: (1.2 * d["share"]).clip(upper=1),
            share_before=lambda d: 0.5 * d["share"],
            change_low=lambda d: 0.1 * d["share"],
            change_high=lambda d: 0.9 * d["share"],
        ),
    }
    return build_content(**{**answers(), **parts, **changes})


@pytest.fixture(name="build")
def _build():
    """Give the builder of contents."""
    return build_content


@pytest.fixture(name="full")
def _full():
    """Give the builder of contents with every part."""
    return full_content


@pytest.fixture(name="make")
def _make():
    """Give the builders of tables by name."""
    return MAKE


@pytest.fixture(scope="module", name="make_module")
def _make_module():
    """Give the same to fixtures that live longer than a test."""
    return MAKE | {"full": full_content, "policies": POLICIES}


MAKE = {
    "policy_markets": policy_market_frame,
    "accounts": account_frame,
    "agreement": agreement_frame,
    "cases": case_frame,
    "findings": finding_frame,
    "proposals": proposal_frame,
    "slices": slice_frame,
    "targets": target_frame,
    "thresholds": threshold_frame,
    "volumes": volume_frame,
    "by": by_frame,
    "cards": card_frame,
    "plan": plan_row,
    "drivers": driver_frame,
    "queue": queue_frame,
    "rate": rate_row,
    "segments": segment_frame,
    "whole": whole_rows,
}
