"""monitor from config to table, page and message."""

import hmac
import http.server
import json
import sys
import threading

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from errdetect.cli import app
from errdetect.config import load_config
from errdetect.errors import ConfigError
from errdetect.schemas import MONITOR
from errdetect.workflows.monitor import monitor
from errdetect.workflows.notify import SIGNATURE, TIMESTAMP, notify, sign


@pytest.fixture(scope="module")
def rotten(tmp_path_factory, market):
    """The market, audited by more reviews whose answers turn bad in the last days."""
    place = tmp_path_factory.mktemp("rotten")
    decisions = pd.read_parquet(market / "decisions.parquet")
    last = decisions["decided_at"].max() - pd.Timedelta(days=20)
    drawn = decisions.iloc[::4]
    bad = (drawn["decided_at"] > last) & (drawn.index % 12 == 0)
    some = drawn.index % 80 == 0
    reviews = pd.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(len(drawn))],
            "decision_id": drawn["decision_id"].to_numpy(),
            "reviewed_at": (drawn["decided_at"] + pd.Timedelta(hours=5)).to_numpy(),
            "source": "audit",
            "verdict": ["overturned" if b else "upheld" for b in (bad | some)],
            "inclusion_probability": 0.25,
        }
    )
    decisions.to_parquet(place / "decisions.parquet")
    reviews.to_parquet(place / "reviews.parquet")
    text = "version: 1\ndata: {decisions: decisions.parquet, reviews: reviews.parquet}\nmonitor: {reference_days: 56}\n"
    (place / "config.yaml").write_text(text)
    return place


def test_a_rotting_moderator_is_an_alarm_with_exit_status_1(rotten, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["monitor", str(rotten / "config.yaml"), "--out", str(out), "-q"]
    )
    assert done.exit_code == 1, done.output
    assert "ALARM audited_error all" in done.output
    table = pq.read_table(out / "monitor.parquet")
    assert table.schema.names == MONITOR.names
    found = table.to_pandas()
    assert set(found["status"]) <= {"ok", "warn", "alarm", "unknown"}
    page = (out / "monitor.html").read_text()
    assert "Audited error" in page
    assert "<script" not in page
    assert (
        'errdetect_monitor_status{check="audited_error",segment="all"} 2'
        in (out / "monitor.prom").read_text()
    )
    assert (out / "run.json").is_file()


def test_equal_input_gives_equal_output(rotten, tmp_path):
    config = load_config(rotten / "config.yaml")
    one, other = (monitor(config, tmp_path / name) for name in ("a", "b"))
    pd.testing.assert_frame_equal(one.checks, other.checks)
    pages = [(tmp_path / name / "monitor.html").read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_dealt_with_alarms_end_with_status_0(rotten, tmp_path):
    config = load_config(rotten / "config.yaml", ["monitor.since=2035-01-01"])
    assert not monitor(config, tmp_path / "out").is_alert


def test_too_few_audit_answers_are_unknown(market, tmp_path):
    result = monitor(load_config(market / "config.yaml"), tmp_path / "out")  # 90 days: no reference
    rows = result.checks[result.checks["check"] == "audited_error"]
    assert set(rows["status"]) == {"unknown"}
    assert not result.is_alert


def test_content_cannot_become_markup(rotten, tmp_path):
    decisions = pd.read_parquet(rotten / "decisions.parquet")
    decisions["policy_id"] = decisions["policy_id"].where(
        decisions.index % 8 == 0, "<img src=x onerror=y>"
    )
    place = tmp_path / "hostile"
    place.mkdir()
    decisions.to_parquet(place / "decisions.parquet")
    (place / "reviews.parquet").write_bytes((rotten / "reviews.parquet").read_bytes())
    (place / "config.yaml").write_text((rotten / "config.yaml").read_text())
    monitor(load_config(place / "config.yaml"), tmp_path / "out")
    page = (tmp_path / "out/monitor.html").read_text()
    assert "<img" not in page
    assert "&lt;img" in page


# --- notifying ---


class Receiver(http.server.BaseHTTPRequestHandler):
    answers: list[int]
    got: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers), body))
        answer = self.answers.pop(0)
        self.send_response(answer)
        if answer == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def receiver():
    handler = type("Own", (Receiver,), {"answers": [], "got": []})
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()


def hooked(rotten, address):
    keys = [f"monitor.notify.webhook={address}", "monitor.notify.secret=${HOOK_KEY}"]
    return load_config(rotten / "config.yaml", keys)


def test_the_webhook_is_signed_and_retried(rotten, receiver, monkeypatch):
    handler, address = receiver
    monkeypatch.setenv("HOOK_KEY", "a-secret-key")
    handler.answers += [503, 200]
    waits: list[float] = []
    sent = notify(hooked(rotten, address), {"alarms": []}, [], sleep=waits.append)
    assert sent == ("the webhook was notified",)
    assert waits == [1.0]
    headers, body = handler.got[-1]
    wanted = sign(body, "a-secret-key", headers[TIMESTAMP])
    assert hmac.compare_digest(headers[SIGNATURE], wanted)
    assert json.loads(body) == {"alarms": []}


def test_a_refusal_is_final_and_a_redirect_is_not_followed(rotten, receiver, monkeypatch):
    handler, address = receiver
    monkeypatch.setenv("HOOK_KEY", "a-secret-key")
    for answer in (401, 302):
        handler.answers[:] = [answer]
        sent = notify(hooked(rotten, address), {}, [], sleep=lambda _: None)
        assert sent == (f"the webhook was not notified: it answered {answer}",)


def test_the_alarm_stands_when_nobody_can_be_notified(rotten, tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK_KEY", "a-secret-key")
    monkeypatch.setattr("errdetect.workflows.notify._WAIT", 0.0)
    result = monitor(hooked(rotten, "http://127.0.0.1:9/x"), tmp_path / "out")
    assert result.is_alert
    assert any("was not notified" in note for note in result.notes)
    assert "a-secret-key" not in (tmp_path / "out/run.json").read_text()


def test_the_command_gets_the_alarm_on_its_input(rotten, tmp_path):
    place = tmp_path / "mail.txt"
    code = f"import sys; open({str(place)!r}, 'w').write(sys.stdin.read())"
    command = json.dumps([sys.executable, "-c", code])
    config = load_config(rotten / "config.yaml", [f"monitor.notify.command={command}"])
    monitor(config, tmp_path / "out")
    assert "ALARM audited_error all" in place.read_text()
    place.unlink()
    monitor(config, tmp_path / "out", send=False)
    assert not place.exists()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("monitor.notify.secret=open", "secret"),
        ("monitor.notify.webhook=https://example.org", "must have a secret"),
        ("monitor.notify.webhook=ftp://example.org", "http"),
    ],
)
def test_a_webhook_without_a_key_from_the_environment_is_refused(rotten, key, message):
    with pytest.raises(ConfigError, match=message):
        load_config(rotten / "config.yaml", [key])
