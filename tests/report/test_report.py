import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.data.policy_catalogue import Policy
from errdetect.errors import escape_hidden
from errdetect.report.report import ReportContent, render_report, report_tables
from errdetect.schemas import ESTIMATES

TWO_MB = 2_000_000
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</style></title></textarea><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% for %}{#",
    "<!-- --!> ]]> <a href=//evil.example>x</a>",
    "\u202egnp.exe\u2066\u0000\u001b[31m",
    "👩‍🔬🏴‍☠️ مرحبا שלום",
    "&lt;script&gt;&#x3c;script&#x3e;",
]
#: Every element that the report is made of; content can add none.
ELEMENTS = frozenset(
    re.findall(
        r"\w+",
        "html head meta title link style body script header main nav section h1 h2 h3 h4 p span a "
        "b strong ul ol li dl div dt dd bdi blockquote figure figcaption details summary table "
        "article noscript caption thead tbody tr th td svg g line circle rect path text button",
    )
)


class Page(HTMLParser):
    """The page's elements, their attributes and its text, as a browser would see them."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.scripts, self._inside = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        inside = self._inside[-1] if self._inside else ""
        if inside == "script":
            self.scripts.append(data)
        elif inside != "style":
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


def hostile_findings(make, text):
    """The same text in every place of what findings, proposals and targets say."""
    ids = [text, "other"]
    same = {"policy_id": text}
    return {
        "volumes": make["volumes"](ids),
        "slices": make["slices"](ids).assign(rule=text, error_kind=text),
        "thresholds": make["thresholds"](ids, (text,)).assign(market=text),
        "findings": make["findings"](ids, 1).assign(
            rule=text,
            kind=text,
            error_kind=text,
            cause=text,
            cause_text=text,
            runner_up=text,
            finding_id=[f"{text}{i}" for i in range(4)],
        ),
        "cases": make["cases"](ids).assign(
            **dict.fromkeys(("decision_id", "text", "action", "contrast_id", "contrast"), text),
            contrast_text=text,
        ),
        "proposals": make["proposals"](ids).assign(
            proposal_id=text, title=text, change=text, state=text, effect_words=text, brief=text
        ),
        "briefs": pd.DataFrame([{**same, "file": text, "title": text, "text": text}]),
        "targets": make["targets"](ids).assign(measure=text, market=text, site=text),
        "plan": pd.DataFrame([{**same, "step": 1, "words": text}]),
        "whitelist": make["accounts"](ids).assign(account_id=text, evidence=text),
        "reasons_missing": dict.fromkeys(("targets", "slices", "proposals"), text),
    }


def hostile_content(build, make, text):
    """The same text in every place that foreign text can stand in."""
    queue = make["queue"](["p"], n=3).assign(
        decision_id=text, policy_id=text, action=text, market=text, language=text, text=text
    )
    queue["error_kind"] = text
    queue["reasons"] = [[{"code": text, "text": text, "contribution": 1.0}]] * 3
    drivers = make["drivers"](["p"]).assign(text=text, code=text)
    drivers["policy_id"] = drivers["policy_id"].where(drivers["policy_id"].isna(), text)
    drivers["example_ids"] = [[text]] * len(drivers)
    evaluation = build().evaluation
    estimates = {
        name: make["by"](name, [text, "other"], [0.1, 0.05]).assign(method=text)
        for name in ("policy_id", "market", "language", "moderator", text)
    }
    return build(
        title=text,
        data_name=text,
        estimates={**estimates, "whole": make["whole"]().assign(method=text)},
        policies={text: Policy(text, text, 3, owner=text, clause=text)},
        drivers=drivers,
        queue_head=queue,
        evaluation=pd.concat(
            [evaluation, evaluation[evaluation["method"] == "margin"].assign(method=text)]
        ),
        evaluated_on=text,
        reliability_by=make["segments"](text),
        reviewers=make["cards"]([text, "other"], [text]).assign(note=text),
        agreement=make["agreement"]([text, "other"]),
        inspection=pd.DataFrame([make["plan"](text, n=None, note=text), make["plan"]("other")]),
        reviewer_notes=[text],
        notes=[text],
        model={text: text},
        **hostile_findings(make, text),
    )


def texts_in(value):
    """Every text in the evidence that the script lays out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts_in(part)


def assert_inert(html):
    page = Page(html)
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    evidence, script = page.scripts
    assert script == (files("errdetect.report") / "templates/report.js").read_text().strip()
    assert all(escape_hidden(text) == text for text in texts_in(json.loads(evidence)))
    assert not re.search("[<>]", evidence)
    for _, attrs in page.elements:
        for name, value in attrs.items():
            assert not name.startswith("on")
            assert not re.search(r"alert\(|javascript:|//evil|\{\{", value or "")
    links = [a["href"] for a in [*page.all("a"), *page.all("link")]]
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9_-]+", i) for i in ids)
    assert {link for link in links if link != "data:,"} <= {f"#{i}" for i in ids}
    assert not re.search("[\u0000\u001b\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    html.encode("utf-8")
    return page


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_inert(build, make, text):
    page = assert_inert(render_report(hostile_content(build, make, text)))
    if text.isprintable():
        assert page.words().count(re.sub(r"\s+", " ", text)) > 20


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=80))
def test_any_text_is_inert(text):
    content = ReportContent(
        title=text,
        generated_at=datetime(2025, 5, 6, tzinfo=UTC),
        data_name=text,
        period=None,
        n_decisions=1,
        notes=[text],
        policies={text: Policy(text, text, 1, clause=text)},
        drivers=pd.DataFrame(
            {"policy_id": [text], "code": "c", "text": [text], "share": 0.5, "n_decisions": 1}
        ),
    )
    assert_inert(render_report(content))


def test_a_text_of_a_megabyte_is_cut(build, make):
    long = "long \u202e text " * 80_000
    html = render_report(hostile_content(build, make, long))
    assert len(html.encode()) < 400_000
    assert_inert(html)


def test_foreign_text_is_isolated_from_the_order_of_the_line(build, make):
    html = render_report(hostile_content(build, make, "שלום!"))
    ours = r"<bdi[^>]*>.*?</bdi>|<title>.*?</title>|<text .*?</text>|<script type.*?</script>"
    outside = re.sub(ours, "", html)
    assert html.count("שלום!") > 40
    assert "שלום!" not in outside


def test_half_a_character_does_not_break_the_page(build):
    html = render_report(build(title="half \ud800", notes=["\udfff"]))
    assert "half [U+D800]" in assert_inert(html).words()


def test_the_page_allows_its_own_script_alone_and_asks_nothing_of_the_network(build):
    html = render_report(build())
    page = Page(html)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"https?:|//[a-z]|url\(|@import|@font-face|fetch\(|XMLHttp", html)
    assert not any({"src", "srcset", "action", "formaction"} & set(a) for _, a in page.elements)


def test_the_page_can_be_read_by_ear_and_by_keyboard(build):
    page = Page(render_report(build()))
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-4]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(page.all("table")) == len(page.all("caption")) > 8
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    named = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert set(named) <= ids
    for svg in page.all("svg"):
        drawn_for_all = svg.get("role") == "img" and (
            "aria-label" in svg or "aria-labelledby" in svg
        )
        assert drawn_for_all or svg.get("aria-hidden") == "true" or svg.get("overflow")
    assert all(d["tabindex"] == "0" for d in page.all("div") if d.get("role") == "region")


def test_the_first_screen_says_the_rates_the_claim_and_the_gap(build):
    words = Page(render_report(build())).words()
    assert "5.7 of 100 decisions" in words
    assert "Between 5.2 and 6.3 of 100 decisions are wrong." in words
    assert "from 6,021 reviewed decisions" in words
    assert "Counting only successful appeals would claim 1.2 of 100 ." in words
    assert "That is 4.5 of 100 less than the audit finds." in words
    for question in ("When it acts", "When it allows", "Of all violations"):
        assert question in words


def test_what_the_estimates_warn_of_stands_on_the_first_screen(build, make):
    method = (
        "score_t+as_judged: weighted audit; as reviewers judged; warning: weights <b>are</b> low"
    )
    whole = make["whole"]().assign(method=method)
    words = Page(render_report(build(estimates={"whole": whole}))).words()
    assert words.count("Take care: weights <b>are</b> low") == 1
    assert "Right among all decisions (accuracy): weighted audit; as reviewers judged" in words


def test_what_is_held_back_is_said_in_words_and_never_as_a_number(build, make):
    held = make["by"]("market", ["DE", "FR"], [0.0, 0.0]).assign(
        suppressed=True, estimate=0.0, low=0.0, high=0.0, n_reviews=12
    )
    estimates = {"whole": make["whole"](12, 400, suppressed=True), "market": held}
    html = render_report(build(estimates=estimates, trend=None, evaluation=None))
    words = Page(html).words()
    assert words.count("not known yet: only 12 reviews") >= 4
    assert "No market has enough reviews for a figure yet." in words
    assert "What stands out" not in words
    rows = re.findall(r"<tr><th scope=\"row\"><bdi>(?:DE|FR)</bdi>.*?</tr>", html, re.S)
    assert len(rows) == 2
    assert not any("%" in row for row in rows)


def test_missing_and_not_a_number_never_reach_the_page(build, make):
    for content in (build(), ReportContent("t", datetime(2025, 1, 1), "d", None, 0)):
        assert not re.search(
            r"\b(nan|NaN|None|NaT|inf|Undefined)\b", Page(render_report(content)).words()
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"estimates": {}, "n_reviews": {"appeal": 5}},
            "No audit reviews: The error rate is unknown",
        ),
        (
            {"estimates": {}},
            "There are 6,021 audit reviews, but no error rate could be estimated from them.",
        ),
        ({"drivers": None}, "No reasons were computed."),
        ({"queue_head": None}, "There is no queue."),
        ({"evaluation": None}, "The ranking has not been measured."),
        ({"trend": None}, "There is no trend yet."),
        (
            {"reviewers": None, "agreement": None, "inspection": None},
            "Reviewers were not measured.",
        ),
        ({"label_states": {}}, "There are no labels yet."),
        ({"model": None}, "No model has scored these decisions."),
        ({"estimates": {}, "drivers": None}, "There is no policy to show."),
        ({"n_reviews": {}}, "no reviews"),
        ({"period": None}, "Period not given"),
    ],
)
def test_a_part_without_input_says_why_and_what_would_bring_it(build, change, words):
    with_it, without = (Page(render_report(build(**c))).words() for c in ({}, change))
    assert words in without
    assert words not in with_it


def test_empty_tables_are_as_good_as_none(build):
    full = build()
    parts = (
        *("drivers", "queue_head", "evaluation", "reliability", "reliability_by", "trend"),
        *("reviewers", "agreement", "inspection"),
    )
    empty = {n: getattr(full, n).iloc[:0] for n in parts}
    assert render_report(build(**empty)) == render_report(build(**dict.fromkeys(empty)))


def test_the_stated_chances_are_held_against_what_was_seen(build):
    words = Page(render_report(build())).words().replace("\u00a0", " ")
    assert (
        "Of decisions with a predicted error probability of 44.0 %, 36.0 % were wrong (28.8 to 43.2 %)."
        in words
    )
    assert (
        "1 differs from the prediction beyond chance: market DE (predicted 6.0 %, observed 11.0 %)."
        in words
    )
    assert (
        "Are the probabilities calibrated?"
        not in Page(render_report(build(reliability=None))).words()
    )


def test_equal_content_gives_an_equal_page_whatever_the_order_of_its_rows(build):
    full = build()
    mixed = {
        n: getattr(full, n).sample(frac=1, random_state=3)
        for n in (
            *("drivers", "queue_head", "reliability", "reliability_by"),
            *("reviewers", "agreement", "inspection"),
        )
    }
    estimates = {
        n: f.sample(frac=1, random_state=4) for n, f in reversed(list(full.estimates.items()))
    }
    assert render_report(full) == render_report(build())
    assert render_report(full) == render_report(
        build(**mixed, estimates=estimates, evaluation=full.evaluation.iloc[::-1])
    )


def hollow(make, policy_id, **changes):
    """A policy as the log knows it, with nothing estimated."""
    facts = {"n_decisions": 1, "n_enforced": 1, "n_reviews": 0, "n_overturned": 0}
    return make["volumes"]([policy_id]).assign(**{**facts, **changes})


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "1 decision, 1 of them enforced. None of them was reviewed: whether they are right"),
        ({"n_reviews": 9, "n_decisions": 40}, "They found none wrong. With few reviews, that does"),
        (
            {"n_reviews": 9, "n_overturned": 9, "n_decisions": 40, "n_enforced": 0},
            "40 decisions, 0 of them enforced. People reviewed 9 decisions of this policy. They found every",
        ),
    ],
)
def test_a_policy_of_which_little_is_known_has_a_sensible_page(make, facts, words):
    content = ReportContent(
        "t", datetime(2025, 1, 1), "d", None, 1, volumes=hollow(make, "lone", **facts)
    )
    html = render_report(content)
    page = assert_inert(html)
    assert words in page.words()
    assert "How often this policy errs is not known yet" in page.words()
    assert "not in the catalogue" in page.words()
    evidence = json.loads(page.scripts[0])["pages"][0]
    assert [b["x"] for b in evidence if b["t"] == "h"] == [
        "Reasons associated with its errors",
        "Where it errs more",
        "If the threshold were moved",
        "Cases",
    ]
    assert sum(b["t"] == "a" for b in evidence) == 4


def test_cases_without_any_text_have_no_empty_quotation(make):
    content = ReportContent(
        "t",
        datetime(2025, 1, 1),
        "d",
        None,
        1,
        volumes=hollow(make, "lone"),
        cases=make["cases"](["lone"]).drop(columns=["text", "contrast_text"]),
    )
    evidence = json.loads(Page(render_report(content)).scripts[0])["pages"][0]
    cases = next(b for b in evidence if b["t"] == "c")["r"]
    assert len(cases) == 3
    assert not any("x" in case for case in cases)
    assert cases[0]["o"]["x"] == ""


def test_one_policy_with_one_decision(build, make):
    one = make["by"]("policy_id", ["only"], [0.0]).assign(suppressed=True, n_reviews=1)
    page = Page(render_report(build(estimates={"policy_id": one}, drivers=None)))
    words = page.words()
    assert "No reasons were computed for this policy." in page.scripts[0]
    assert "There is only one policy." in words
    assert "not known yet: only 1 review" in words


def many(build, make, n, name):
    """A report over many policies with long names."""
    ids = [f"policy_{i}" for i in range(n)]
    estimates = dict(build().estimates)
    estimates["policy_id"] = make["by"]("policy_id", ids, [0.2 - i / (10 * n) for i in range(n)])
    return build(
        estimates=estimates,
        policies={i: Policy(i, f"{name} {i}", 3, owner=name, clause=name * 8) for i in ids},
        drivers=make["drivers"](ids),
        queue_head=make["queue"](ids, n=60),
    )


def test_two_hundred_policies_stand_whole_on_a_small_page(build, make):
    html = render_report(many(build, make, 200, "A rule with a name of usual length"))
    assert len(html.encode()) < TWO_MB
    assert len(Page(html).all("article")) == 200
    assert "The page holds" not in html


def test_five_thousand_policies_are_cut_and_the_page_says_so(build, make):
    html = render_report(many(build, make, 5000, "Rule"))
    words = Page(html).words()
    assert len(html.encode()) < TWO_MB
    assert len(Page(html).all("article")) == 200
    assert "The page holds the first 200 of 5,000 policies." in words


def test_the_worst_names_still_stay_under_two_megabytes(build, make):
    content = many(build, make, 1000, '"' * 200)
    worst = content.drivers.assign(text='"' * 500)
    html = render_report(build(**{**vars(content), "drivers": worst}))
    assert len(html.encode()) < TWO_MB
    assert re.search(r"The page holds the first \d+ of 1,000 policies", html)


def test_no_word_of_the_report_claims_a_cause(build):
    words = Page(render_report(build())).words().lower()
    assert "associated with error" in words
    assert not re.search(r"\b(because|caused by|due to|leads to)\b", words)


def test_the_tables_hold_everything_that_the_page_folds_away(build, make):
    tables = report_tables(many(build, make, 5000, "Rule"))
    assert list(tables) == [
        "estimates",
        "drivers",
        "queue_head",
        "evaluation",
        "reliability",
        "reliability_by",
        "trend",
        "reviewers",
        "agreement",
        "inspection",
    ]
    estimates = tables["estimates"]
    by = ["policy_id", "market", "language", "moderator"]
    assert list(estimates.columns) == [*by, *ESTIMATES.names]
    assert estimates["policy_id"].nunique() == 5000
    assert len(estimates[estimates[by].isna().all(axis=1)]) == 6
    assert len(tables["queue_head"]) == 60


def test_a_figure_held_back_leaves_no_number_in_the_tables(build, make):
    held = make["whole"]().assign(suppressed=True)
    estimates = report_tables(build(estimates={"whole": held}))["estimates"]
    assert estimates[["estimate", "low", "high"]].isna().all(axis=None)
    assert estimates["suppressed"].all()
    assert held["estimate"].notna().all()


def test_the_whole_stands_once_in_the_tables(build, make):
    both = pd.concat([make["by"]("market", ["DE"], [0.1]), make["whole"]()])
    own = report_tables(build(estimates={"whole": make["whole"](), "market": both}))["estimates"]
    inside = report_tables(build(estimates={"market": both}))["estimates"]
    assert own["market"].isna().sum() == inside["market"].isna().sum() == 6


def test_absent_tables_are_absent_not_empty(build):
    assert set(report_tables(build(drivers=None, trend=None))) == {
        "estimates",
        "queue_head",
        "evaluation",
        "reliability",
        "reliability_by",
        "reviewers",
        "agreement",
        "inspection",
    }
