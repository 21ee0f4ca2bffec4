"""The tables for people, and the targets."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from .figures import MEASURES, Cell, geometric_mean, peers_of
from .ours import CEILING, ERRDETECT

__all__ = ["markdown", "targets"]

GROUPS = (
    "real sets, full reviews", "real sets, partial reviews", "simulator", "groups never seen, real sets",
    "groups never seen, simulator",
)  # fmt: skip
TARGET_AP, TARGET_PARTIAL, TARGET_WAY, TARGET_CALIBRATION, ENOUGH = 1.06, 0.95, 0.85, 0.02, 2000
TARGET_SECONDS, LARGE = 300, 100_000
HEAD = """# Detection

Made by `benchmarks/detection.py`; every figure also stands in `detection.csv`, with the differences of the
recalls. Each method learns from the first 80 % of a set's decisions by time, with their reviews, and ranks the
last 20 %, whose truth nothing reads but these measures. "Unseen" sets leave whole groups (accounts, sources,
categories) out of learning and rank only their later decisions. R@b: the share of all errors found when the
first b % are reviewed. AP: average precision. "AP ratio" and "R@5 ratio" are errdetect's figure divided by the
method's; the difference of AP stands with its 95 % interval (paired bootstrap over the test decisions). Fit
seconds of a peer hold the making of its features; methods without a model take none worth telling.
"""


def markdown(
    cells: Sequence[Cell],
    seconds: Mapping[tuple[str, str], Mapping[str, float]],
    remarks: Sequence[str],
    settings: str,
) -> str:
    """Write all tables, geometric means and targets."""
    parts = [HEAD, f"{settings}\n"]
    for cell in cells:
        parts += [_title(cell), _table(cell, seconds[cell.name, cell.variant])]
    if remarks:
        parts += ["## Remarks\n", "\n".join(f"- {remark}" for remark in remarks) + "\n"]
    if any(ERRDETECT in cell.figures.index for cell in cells):
        parts += ["## AP over the sets: errdetect's ratio to each method\n", _ratios(cells)]
        parts += ["## Targets\n", "\n".join(f"- {line}" for line in targets(cells, seconds)) + "\n"]
    return "\n".join(parts)


def targets(
    cells: Sequence[Cell], seconds: Mapping[tuple[str, str], Mapping[str, float]]
) -> list[str]:
    """Say how far each target is reached, one line each."""
    ours = [cell for cell in cells if ERRDETECT in cell.figures.index]
    known = [cell for cell in ours if np.isfinite(cell.figures.loc[ERRDETECT, "AP"])]
    lines = [f"{c.name}, {c.variant}: no model passed the gate" for c in ours if c not in known]
    for name, group in _groups(known):
        if all(peers_of(cell.figures.index) for cell in group):
            mean, low, high = _against_best(group, "AP")
            lines.append(
                f"AP against the best peer of each set, geometric mean over {name} ({len(group)}): "
                f"{mean:.3f} [{low:.3f}, {high:.3f}]; target {TARGET_AP}: {_said(mean >= TARGET_AP)}"
            )
    for cell in known:
        if cell.labels >= LARGE:
            took = seconds[cell.name, cell.variant][ERRDETECT]
            lines.append(
                f"{cell.name}, {cell.variant}: {cell.labels:,} labels learnt in {took:.0f} s; target for "
                f"{LARGE:,} on two processors, one method at a time: {TARGET_SECONDS} s"
            )
    return [
        *lines,
        *_lowest(known),
        *_no_worse(known),
        *_partial(known),
        *_way(known),
        *_calibration(known),
    ]


def _lowest(cells: Sequence[Cell]) -> Iterator[str]:
    """Give the sets whose average precision is below that of their best peer."""
    ratios = {
        f"{cell.name}, {cell.variant}": _against_best([cell], "AP")
        for cell in cells
        if peers_of(cell.figures.index)
    }
    below = [
        f"{name} " + "{:.3f} [{:.3f}, {:.3f}]".format(*ratio)
        for name, ratio in ratios.items()
        if ratio[0] < 1
    ]
    if ratios:
        told = "; ".join(below) or "none"
        yield f"AP below the best peer's in {len(below)} of {len(ratios)} sets: {told}"


def _no_worse(cells: Sequence[Cell]) -> Iterator[str]:
    """Each set and measure against its best peer, by the interval of the difference."""
    worse, all_ = [], 0
    for cell in cells:
        for m in MEASURES if peers_of(cell.figures.index) else ():
            best, all_ = cell.best_peer(m), all_ + 1
            gap = cell.difference(best).loc[m]
            if gap["high"] < 0:
                worse.append(f"{cell.name}, {cell.variant}: {m} {_signed(gap)} against {best}")
    if all_:
        yield (
            f"No worse than the best peer, within noise: {all_ - len(worse)} of {all_} sets x measures"
            + ("; worse: " + "; ".join(worse) if worse else "")
        )


def _partial(cells: Sequence[Cell]) -> Iterator[str]:
    by = {(cell.name, cell.variant): cell for cell in cells}
    for name in dict.fromkeys(cell.name for cell in cells):
        full, part = by.get((name, "reviews")), by.get((name, "reviews_partial"))
        if full is not None and part is not None:
            ratio = part.figures.loc[ERRDETECT] / full.figures.loc[ERRDETECT]
            ok = min(ratio["R@5"], ratio["R@10"]) >= TARGET_PARTIAL
            yield (
                f"{name}, partial reviews against full: R@5 {ratio['R@5']:.3f}, R@10 "
                f"{ratio['R@10']:.3f}, AP {ratio['AP']:.3f}; target {TARGET_PARTIAL}: {_said(ok)}"
            )


def _way(cells: Sequence[Cell]) -> Iterator[str]:
    ways = []
    for cell in cells:
        if _group(cell) == GROUPS[2] and {"margin", CEILING} <= set(cell.figures.index):
            margin, ours, top = (cell.figures.loc[m, "R@5"] for m in ("margin", ERRDETECT, CEILING))
            ways.append((ours - margin) / (top - margin))
            yield (
                f"{cell.name}: R@5 {margin:.3f} by the margin, {ours:.3f} by errdetect, {top:.3f} with "
                f"true labels: {ways[-1]:.2f} of the way; target {TARGET_WAY}: {_said(ways[-1] >= TARGET_WAY)}"
            )
    if len(ways) > 1:
        yield f"simulator, mean: {np.mean(ways):.2f} of the way"


def _calibration(cells: Sequence[Cell]) -> Iterator[str]:
    large = [c for c in cells if c.labels >= ENOUGH]
    if large:
        told = "; ".join(
            f"{c.name}, {c.variant} {c.figures.loc[ERRDETECT, 'calibration error']:.3f}"
            for c in large
        )
        worst = max(c.figures.loc[ERRDETECT, "calibration error"] for c in large)
        yield (
            f"Calibration error with {ENOUGH:,} or more labels: {told}; target at most "
            f"{TARGET_CALIBRATION}: {_said(worst <= TARGET_CALIBRATION)}"
        )


def _group(cell: Cell) -> str:
    simulated = cell.name.startswith("simulator")
    if ", unseen " in cell.name:
        return GROUPS[3 + simulated]
    if simulated:
        return GROUPS[2]
    return GROUPS[0] if cell.variant == "reviews" else GROUPS[1]


def _groups(cells: Sequence[Cell]) -> Iterator[tuple[str, list[Cell]]]:
    for name in GROUPS:
        if group := [cell for cell in cells if _group(cell) == name]:
            yield name, group
    if len({_group(cell) for cell in cells}) > 1:
        yield "all", list(cells)


def _against_best(group: Sequence[Cell], m: str) -> tuple[float, float, float]:
    return _against(group, [cell.best_peer(m) for cell in group], m)


def _against(group: Sequence[Cell], methods: Sequence[str], m: str) -> tuple[float, float, float]:
    at = MEASURES.index(m)

    def picked(method: str, cell: Cell) -> tuple[float, np.ndarray]:
        return float(cell.figures.loc[method, m]), cell.drawn[method][:, at]

    return geometric_mean(
        [picked(ERRDETECT, cell) for cell in group],
        [picked(method, cell) for method, cell in zip(methods, group, strict=True)],
    )


def _ratios(cells: Sequence[Cell]) -> str:
    known = [
        cell for cell in cells
        if ERRDETECT in cell.figures.index and np.isfinite(cell.figures.loc[ERRDETECT, "AP"])
    ]  # fmt: skip
    groups = list(_groups(known))
    rows = []
    names = dict.fromkeys(m for cell in known for m in cell.figures.index if m != ERRDETECT)
    for method in ["best peer of each set", *names]:
        row = [method]
        for _, group in groups:
            if method in names:
                has = all(method in cell.figures.index for cell in group)
                found = _against(group, [method] * len(group), "AP") if has else None
            else:
                has = all(peers_of(cell.figures.index) for cell in group)
                found = _against_best(group, "AP") if has else None
            row.append("" if found is None else "{:.3f} [{:.3f}, {:.3f}]".format(*found))
        rows.append(row)
    return _lines(["against", *(f"{name} ({len(group)})" for name, group in groups)], rows)


def _title(cell: Cell) -> str:
    return (
        f"## {cell.name}, {cell.variant}\n\n{cell.labels:,} of {cell.learn:,} decisions labelled; measured on "
        f"{cell.test:,} later decisions, {cell.errors:,} of them wrong ({cell.errors / cell.test:.1%}).\n"
    )


def _table(cell: Cell, seconds: Mapping[str, float]) -> str:
    ours = cell.figures.loc[ERRDETECT] if ERRDETECT in cell.figures.index else None
    head = ["method", *MEASURES, "AUROC", "calibration error", "fit seconds"]
    if ours is not None:
        head += ["AP ratio", "R@5 ratio", "AP difference"]
    rows = []
    for method, figures in cell.figures.iterrows():
        row = [str(method), *(_number(figures[m]) for m in (*MEASURES, "AUROC"))]
        row += [_number(figures["calibration error"]), f"{seconds[str(method)]:.0f}"]
        if ours is not None and method != ERRDETECT:
            gap = cell.difference(str(method)).loc["AP"]
            row += [_number(ours[m] / figures[m]) for m in ("AP", "R@5")] + [_signed(gap)]
        elif ours is not None:
            row += ["", "", ""]
        rows.append(row)
    return _lines(head, rows)


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else ""


def _signed(gap: pd.Series) -> str:
    if not np.isfinite(gap["value"]):
        return ""
    return f"{gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]"


def _said(reached: bool) -> str:
    return "reached" if reached else "missed"
