"""The checks in Prometheus's text format, for a textfile collector or a scrape."""

import pandas as pd

__all__ = ["prometheus_text"]

_HELP = {
    "value": "Figure of the latest days",
    "limit": "What the figure is held against",
    "status": "0 ok, 1 warn, 2 alarm, -1 unknown",
}
_STATUS = {"ok": 0, "warn": 1, "alarm": 2, "unknown": -1}


def prometheus_text(checks: pd.DataFrame) -> str:
    r"""Write the checks as gauges; unknown values are left out, their status is -1.

    Parameters
    ----------
    checks
        Columns of `schemas.MONITOR`.

    References
    ----------
    Prometheus exposition formats, text-based format 0.0.4.

    Examples
    --------
    >>> row = {"check": "volume", "segment": 'a"b', "status": "ok", "value": 2.0, "limit": float("nan")}
    >>> prometheus_text(pd.DataFrame([row])).splitlines()[2]
    'errdetect_monitor_value{check="volume",segment="a\\"b"} 2.0'
    """
    lines = []
    for name, text in _HELP.items():
        metric = f"errdetect_monitor_{name}"
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} gauge"]
        for row in checks.to_dict("records"):
            value = _STATUS[row["status"]] if name == "status" else float(row[name])
            if value == value:
                check, segment = (_escape(str(row[key])) for key in ("check", "segment"))
                lines.append(f'{metric}{{check="{check}",segment="{segment}"}} {value}')
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
