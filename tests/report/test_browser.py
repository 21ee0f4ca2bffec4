"""The report in a real browser: pages, links, tables, themes, paper, and nothing from outside."""

import os
import re
import shutil

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from errdetect.changes.brief_pages import plan_page, projects_page
from errdetect.changes.quality_framework import FrameworkSettings, framework_page
from errdetect.changes.team_pages import (
    Block,
    Page,
    Section,
    numbered,
    paragraph,
    render_page,
    table,
)
from errdetect.config_schema import (
    AuditSettings,
    MonitorSettings,
    QueueSettings,
    RemediationSettings,
    ReviewersSettings,
    TargetsSettings,
)
from errdetect.data.policy_catalogue import Policy
from errdetect.report.monitor_page import MonitorContent, render_monitor
from errdetect.report.report import render_report

from .conftest import trend_frame

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
VIEWS = ["summary", "policies", "findings", "where", "queue", "reviewers", "ranking", "method"]
POLICY_PAGES = ["policy-counterfeit", "policy-digital_goods", "policy-lone"]
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\u202egnp.exe 👩‍🔬 مرحبا'


@pytest.fixture(scope="module", name="browser")
def _browser():
    """Chromium; where there is none these tests are skipped, but not in CI."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        why = "no Chromium on PATH; tests/tools/chromium.sh says how to get one"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", name="address")
def _address(make_module, tmp_path_factory):
    """A full report, with one policy more of which next to nothing is known."""
    ids = ["counterfeit", "adult", "weapons", "digital_goods", "spam", "hate", "gambling"]
    volumes = make_module["volumes"](ids)
    lone = {"policy_id": "lone", "n_decisions": 1, "n_enforced": 1, "n_reviews": 0}
    estimates = {
        "whole": make_module["whole"](),
        "policy_id": make_module["by"]("policy_id", ids, [0.1, 0.04, 0.07, 0.05, 0.06, 0.03, 0.02]),
        "market": make_module["by"]("market", list("ABCDEFGH"), [0.05] * 8),
    }
    content = make_module["full"](
        ids, volumes=pd.concat([volumes, pd.DataFrame([lone])]), estimates=estimates
    )
    return written(tmp_path_factory, render_report(content))


def written(tmp_path_factory, html):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(name="page")
def _page(browser, address):
    """The report, freshly opened."""
    page = opened(browser, address)
    yield page
    page.context.close()


def opened(browser, address, **context):
    """Open an address; what it asks of a network and what it logs as a fault are kept."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}, **context).new_page()
    page.asked, page.faults = [], []
    page.on("request", lambda r: page.asked.append(r.url))
    page.on("pageerror", lambda e: page.faults.append(str(e)))
    page.on("console", lambda m: page.faults.append(m.text) if m.type == "error" else None)
    page.goto(address)
    return page


def expect_view(page, heading):
    """One page is shown, with this heading; a change of the address shows it a moment later."""
    views = page.locator("main > .view:visible")
    expect(views.locator("h2").first).to_have_text(heading)
    expect(views).to_have_count(1)


def test_one_page_is_shown_and_the_first_screen_has_the_state(page):
    expect_view(page, "In short")
    for words in ("How often is a decision wrong?", "First things to do", "Targets"):
        box = page.get_by_text(words, exact=True).first.bounding_box()
        assert box["y"] + box["height"] < 800


def test_deep_links_back_and_forward(browser, address):
    page = opened(browser, f"{address}#policy-adult")
    expect_view(page, "Adult content")
    assert page.title().startswith("Adult content – ")
    page.get_by_role("link", name="All policies").click()
    expect_view(page, "Policies")
    page.get_by_role("link", name="Counterfeit goods").last.click()
    expect_view(page, "Counterfeit goods")
    page.go_back()
    expect_view(page, "Policies")
    page.go_back()
    expect_view(page, "Adult content")
    page.go_forward()
    expect_view(page, "Policies")
    page.goto(f"{address}#no-such-place")
    expect_view(page, "In short")
    page.context.close()


def test_a_link_to_a_finding_opens_its_policy_and_brings_it_into_view(page):
    page.locator(".todo a").first.click()
    expect(page.locator("main > .view.policy:visible")).to_have_count(1)
    card = page.locator(".card:target")
    expect(card).to_be_in_viewport()


def test_a_deep_link_to_a_finding_stands_in_view_at_once(browser, address):
    page = opened(browser, f"{address}#finding-f000004")
    assert page.locator("main > .view.policy:visible").count() == 1
    expect(page.locator("#finding-f000004")).to_be_in_viewport()
    page.context.close()


def column(page, table, at):
    return page.locator(f"{table} tbody tr:visible > :nth-child({at})").all_inner_texts()


def test_tables_are_sorted_both_ways_and_what_cannot_be_said_stays_last(page):
    page.goto(page.url.split("#")[0] + "#policies")
    expect_view(page, "Policies")
    table = "table.policies"
    button = page.locator(f"{table} thead button", has_text="Wrong among all decisions")
    for direction in ("descending", "ascending"):
        button.click()
        cells = [c for c in column(page, table, 2) if "%" in c]
        numbers = [float(c.split("\u00a0")[0]) for c in cells]
        assert numbers == sorted(numbers, reverse=direction == "descending")
        assert len(numbers) == 6
        rows = page.locator(f"{table} tbody tr").all_inner_texts()
        assert ["not known" in row for row in rows][-2:] == [True] * 2
        head = page.locator(f"{table} th[aria-sort]")
        assert head.get_attribute("aria-sort") == direction


def test_tables_are_filtered_by_keyboard(page):
    page.goto(page.url.split("#")[0] + "#policies")
    expect_view(page, "Policies")
    page.get_by_label("Find in this table").first.focus()
    page.keyboard.type("counterf")
    assert column(page, "table.policies", 1) == ["Counterfeit goods"]
    assert page.get_by_role("status").first.inner_text() == "1 of 8 shown"


def test_all_can_be_reached_by_keyboard(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect_view(page, "In short")
    page.locator(".contents a", has_text="Policies").focus()
    page.keyboard.press("Enter")
    expect_view(page, "Policies")
    page.locator("table.policies thead button").first.focus()
    page.keyboard.press("Enter")
    names = column(page, "table.policies", 1)
    assert names == sorted(names, key=str.lower)


def test_a_policy_page_lays_out_its_evidence(page):
    page.goto(page.url.split("#")[0] + "#policy-counterfeit")
    expect_view(page, "Counterfeit goods")
    view = page.locator("main > .view:visible")
    assert view.locator(".bars li").count() == 7
    assert view.locator(".evidence table").count() == 2
    assert view.locator("figure.whatif polyline").count() == 1
    assert view.locator("rect.unsupported").count() == 1
    assert "recommended 0.7" in view.locator("figure.whatif").inner_text()
    assert view.locator(".pairs > li").count() == 3
    assert "A similar correct decision" in view.inner_text()
    assert "No similar decision was found correct so far." in view.inner_text()


def test_nothing_is_asked_of_a_network_and_nothing_fails(page):
    for anchor in [*VIEWS, *POLICY_PAGES]:
        page.evaluate("a => { location.hash = a; }", anchor)
    assert {url.split("#")[0] for url in page.asked if not url.startswith("data:")} == {
        page.url.split("#")[0]
    }
    assert page.faults == []
    reached = page.evaluate("fetch('https://example.org').then(() => true, () => false)")
    assert reached is False


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_out_of_reach_for_anybody(browser, address, scheme):
    page = opened(browser, address, color_scheme=scheme)
    axe = Axe()
    found = {}
    for anchor in [*VIEWS, *POLICY_PAGES]:
        page.evaluate("a => { location.hash = a; }", anchor)
        page.wait_for_function("a => document.getElementById(a).checkVisibility()", arg=anchor)
        # The whole once, with header and navigation; then the page that is shown.
        result = axe.run(page, None if anchor == VIEWS[0] else "main > .view:not([hidden])")
        if result.violations_count:
            found[anchor] = result.generate_report()
    assert not found, "\n".join(found.values())
    page.context.close()


def side_pages():
    """Pages beside the report: one with every kind of block, the plan, the projects, and the monitor's."""
    rows = [["1", "Raise the threshold"], ["2", ""]]
    blocks = [
        *(paragraph("A line."), numbered(["Read it."], "R"), numbered(["Then this."])),
        *(Block("bullets", ("One.",)), Block("quote", ("The clause.",))),
        *(
            Block("folded", ("1: upheld.",), title="The answers"),
            table("Steps", ["No.", "What"], rows),
        ),
        Block("links", rows=(("projects.html", "Projects"),)),
    ]
    day = pd.Timestamp("2026-03-01", tz="UTC")
    open_ = pd.DataFrame({"proposal_id": ["P-1"], "policy_id": "spam", "title": "Clarify", "owner": "Ana",
                          "state": "proposed", "created_at": day,
                          "effective_from": pd.Series([pd.NaT], dtype="datetime64[us, UTC]")})  # fmt: skip
    settings = FrameworkSettings(
        TargetsSettings(rates={"recall": 0.9}), AuditSettings(), QueueSettings(), ReviewersSettings(),
        RemediationSettings(), MonitorSettings(), {}, 10,
    )  # fmt: skip
    checks = pd.DataFrame(
        {"check": ["volume", "audited_error"], "segment": ["all", "DE"], "status": ["ok", "alarm"],
         "value": [5.0, 0.2], "low": [None, 0.1], "high": [None, 0.3], "limit": 2.0, "reference": 4.0,
         "note": ["", "Look at DE."]}
    )  # fmt: skip
    months = trend_frame().assign(n_reviews=40, n_decisions=900)
    links = [("index.html", "All pages")]
    return {
        "brief": render_page(Page("Brief", [("Owner", "Ana")], [Section("All", blocks)], links)),
        "plan": render_page(plan_page(None, open_, {}, {}, now=day)),
        "projects": render_page(projects_page(open_, [], now=day)),
        "framework": render_page(framework_page({}, settings)),
        "monitor": render_monitor(MonitorContent("Shop", day, None, checks, months, "more of DE")),
    }


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_beside_the_report_is_out_of_reach_for_anybody(browser, tmp_path, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page, axe, found = context.new_page(), Axe(), {}
    for name, html in side_pages().items():
        path = tmp_path / f"{name}.html"
        path.write_text(html, encoding="utf-8")
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            result = axe.run(page)
            if result.violations_count:
                found[name, width] = result.generate_report()
    assert not found, "\n".join(found.values())
    context.close()


def test_tables_beside_the_report_name_their_columns_on_a_phone(browser, tmp_path):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    path = tmp_path / "brief.html"
    path.write_text(side_pages()["brief"], encoding="utf-8")
    page.goto(path.as_uri())
    expect(page.locator("td[data-label='What']").first).to_be_visible()
    expect(page.locator("td[data-label='What']").last).to_be_hidden()  # it is empty
    expect(page.locator("thead")).to_be_hidden()
    context.close()


@pytest.fixture(name="phone")
def _phone(browser, address):
    """The report on a phone."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()


def test_phone_pages_answer_first_and_fold_the_rest(phone):
    for anchor, most in (("summary", 2200), ("findings", 2600), ("where", 1500), ("queue", 3500)):
        phone.evaluate("a => { location.hash = a; }", anchor)
        phone.wait_for_function("a => document.getElementById(a).checkVisibility()", arg=anchor)
        wide, tall = phone.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        assert wide <= 390, anchor
        assert tall < most, anchor
    phone.goto(phone.url.split("#")[0])
    for words in ("How often is a decision wrong?", "First things to do"):
        box = phone.get_by_text(words, exact=True).first.bounding_box()
        assert box["y"] + box["height"] < 844, words


def test_on_a_phone_a_folded_part_opens_by_its_heading_and_by_a_link_to_it(phone):
    expect(phone.locator("#trend figure").first).to_be_hidden()
    button = phone.locator("#trend h2 button")
    expect(button).to_have_attribute("aria-expanded", "false")
    button.press("Enter")
    expect(phone.locator("#trend figure").first).to_be_visible()
    phone.evaluate("location.hash = 'heatmap'")
    expect(phone.locator("#heatmap table")).to_be_visible()


def test_on_a_phone_rows_name_their_columns(phone):
    phone.evaluate("location.hash = 'findings'")
    row = phone.locator("#findings tbody tr:visible").first
    expect(row).to_be_visible()
    assert row.locator("td[data-label='Likely cause']").count() == 1
    assert phone.locator("#findings tbody tr:visible").count() <= 5


def test_no_table_of_a_wide_screen_is_cut(browser, make_module, tmp_path_factory):
    markets = [f"M{i:02d}" for i in range(20)]
    frame = make_module["policy_markets"](["a", "b", "c"], markets)
    content = make_module["full"](["a", "b", "c"], policy_markets=frame)
    page = opened(browser, written(tmp_path_factory, render_report(content)) + "#heatmap")
    box = page.locator("#heatmap .scroll")
    expect(box).to_be_visible()
    assert box.evaluate("b => b.scrollWidth - b.clientWidth") <= 1
    page.context.close()


def test_dark_and_light_differ(browser, address):
    colours = set()
    for scheme in ("light", "dark"):
        page = opened(browser, address, color_scheme=scheme)
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.context.close()
    assert len(colours) == 2


def sheets(pdf):
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_paper_has_every_page_and_every_row_where_all_are_asked_for(page):
    page.evaluate("window.print = () => {}")
    page.get_by_role("button", name="Print all pages").click()
    pdf = page.pdf(prefer_css_page_size=True)
    assert sheets(pdf) > 8 + 8
    assert page.locator(".evidence:empty").count() == 0
    page.evaluate("document.getElementById('main').classList.add('all')")
    page.emulate_media(media="print")
    assert page.locator("main > .view:visible").count() == 8 + 8
    assert page.locator("tbody tr:not(:visible)").count() == 0
    assert page.locator(".contents:visible, .tools:visible").count() == 0
    breaks = page.locator(".view").evaluate_all(
        "all => all.map(v => getComputedStyle(v).breakBefore)"
    )
    assert set(breaks[1:]) == {"page"}


@pytest.mark.parametrize("size", ["A4", "Letter"])
def test_the_overview_prints_as_one_sheet(page, size):
    pdf = page.pdf(format=size)
    assert sheets(pdf) == 1
    assert page.locator("main > .view:visible").count() == 1
    page.emulate_media(media="print")
    for words in ("How often is a decision wrong?", "First things to do", "What stands out"):
        expect(page.get_by_text(words, exact=True).first).to_be_visible()


def test_a_page_prints_alone(browser, address):
    page = opened(browser, f"{address}#where")
    page.emulate_media(media="print")
    assert page.locator("main > .view:visible").count() == 1
    assert page.locator("main > .view:visible tbody tr:not(:visible)").count() == 0
    page.context.close()


def test_every_answer_is_two_clicks_away(browser, address):
    """Site training, mix-ups, remedies, effects, the heatmap and the work, from the first screen."""
    page = opened(browser, address)
    links = page.locator("main > .view:visible a[href^='#'], .contents a")
    one = set(links.evaluate_all("all => all.map(a => a.getAttribute('href').slice(1))"))
    views = {
        answer: page.evaluate(
            "id => { const at = document.getElementById(id);"
            " return at && (at.closest('.view').querySelector('section').id); }", answer
        )
        for answer in ("training", "mixups", "remedies", "effects", "heatmap", "work")
    }  # fmt: skip
    for answer, view in views.items():
        assert view is not None, answer
        assert answer in one or view in one, answer
    page.context.close()


def test_without_scripts_the_essentials_can_be_read(browser, address):
    page = opened(browser, address, java_script_enabled=False)
    words = page.locator("main").inner_text()
    for said in (
        "5.7",
        "This browser runs no scripts",
        "Counterfeit goods",
        "harm saved in 30 days: 140 (between 90 and 200).",
        "Raise the bar of image-cnn 4.2 from 0.60 to 0.70",
    ):
        assert said in words
    page.context.close()


def test_hostile_text_stays_text(browser, make_module, tmp_path_factory):
    ids = ["<b>policy</b>", "other"]
    make = make_module
    content = make["full"](
        ids,
        policies={ids[0]: Policy(ids[0], HOSTILE, 3, owner=HOSTILE, clause=HOSTILE)},
        slices=make["slices"](ids).assign(rule=HOSTILE),
        findings=make["findings"](ids).assign(rule=HOSTILE, cause_text=HOSTILE),
        cases=make["cases"](ids).assign(text=HOSTILE * 10_000, contrast=HOSTILE),
        drivers=make["drivers"](ids).assign(text=HOSTILE),
        briefs=pd.DataFrame(
            [{"policy_id": i, "file": "b.md", "title": HOSTILE, "text": HOSTILE} for i in ids]
        ),
    )
    page = opened(browser, written(tmp_path_factory, render_report(content)))
    for anchor in page.locator("article.policy").evaluate_all("all => all.map(a => a.id)"):
        page.evaluate("a => { location.hash = a; }", anchor)
        page.wait_for_function("a => document.getElementById(a).checkVisibility()", arg=anchor)
    first = page.locator("article.policy", has=page.locator("h2", has_text="[U+202E]")).first
    page.evaluate("a => { location.hash = a; }", first.get_attribute("id"))
    first.locator(".evidence .bars").wait_for()
    assert page.evaluate("window.hit") is None
    assert page.locator("main img, main script").count() == 0
    assert "\u202e" not in page.locator("body").inner_text()
    assert "[U+202E]" in page.locator("article.policy:visible").inner_text()
    assert page.faults == []
    page.context.close()


def test_two_hundred_policies_open_within_two_seconds(browser, make_module, tmp_path_factory):
    ids = [f"policy_{i}" for i in range(200)]
    estimates = {
        "whole": make_module["whole"](),
        "policy_id": make_module["by"]("policy_id", ids, [0.1] * 200),
    }
    html = render_report(make_module["full"](ids, estimates=estimates))
    assert len(html.encode()) < 2_000_000
    page = opened(browser, written(tmp_path_factory, html) + "#policy-policy_7")
    spent = page.evaluate(
        "() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    assert spent < 2000
    expect_view(page, "policy_7")
    assert page.locator("article").count() == 200
    page.context.close()
