"""The command line: which sets, which methods, in how many processes; see benchmarks/detection.py."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from .figures import Cell, measure, table_rows
from .ours import CEILING, ERRDETECT
from .peers import NEED_FEATURES, SAME_FOR_ALL_REVIEWS, Effort
from .problems import WORLDS, Source, find_folders, simulated, variants, with_unseen_groups
from .report import markdown
from .store import Store
from .work import METHODS, Outcome, Shape, make_features, run_method, shape_of

__all__ = ["main"]

REPO = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ERRDETECT_SHARED", REPO.parent / "shared")) / "data"
USUAL = ("multi_market", "wiki_edits", "civil_comments")
SIMULATOR = "simulator"
QUICK_ROWS = 2000
QUICK_SETTINGS = ("train.trials=1", "evaluate.bootstrap=50")

Key = tuple[str, str, str]


def tell(message: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


def find_sources(options: argparse.Namespace, place: Path) -> list[Source]:
    """Return every set with each of its kinds of reviews; tell which are not there."""
    rows = QUICK_ROWS if options.quick else None
    folders = {folder.name: folder for folder in find_folders(options.data)}
    wanted = options.sets or [*dict.fromkeys([*USUAL, *folders]), SIMULATOR]
    sources, worlds = [], []  # no groups are held out of the other worlds
    for name in wanted:
        if name == SIMULATOR:
            for seed in options.seeds:
                folder = simulated(seed, place, rows)
                sources.append(Source(folder.name, folder, "reviews"))
            for world in filter(None, WORLDS):
                folder = simulated(options.seeds[0], place, rows, world)
                worlds.append(Source(folder.name, folder, "reviews"))
        elif name in folders:
            sources += [Source(name, folders[name], v, rows) for v in variants(folders[name])]
        else:
            tell(f"{name}: skipped, there is no such set in {options.data}")
    unseen = [again for source in sources for again in with_unseen_groups(source)]
    return {"no": [*sources, *worlds], "only": unseen, "also": [*sources, *worlds, *unseen]}[
        options.unseen
    ]


def plan(
    sources: list[Source], shapes: dict[Source, Shape], methods: list[str]
) -> dict[Key, tuple[Source, str] | Key]:
    """Say for every row of the tables how to come by it: run it, or take over another's."""
    rows: dict[Key, tuple[Source, str] | Key] = {}
    for source in sources:
        shape, first = shapes[source], (source.name, "reviews")
        for method in methods:
            key = (source.name, source.variant, method)
            again = (*first, method) if source.variant != "reviews" else None
            full = next((s for s in sources if (s.name, s.variant) == first), source)
            if method == CEILING and (shape.all_reviewed or source.unseen):
                continue
            if again in rows and (method in SAME_FOR_ALL_REVIEWS or method == CEILING):
                rows[key] = again
            elif method == CEILING and shapes[full].reviews_are_truth and ERRDETECT in methods:
                rows[key] = (*first, ERRDETECT)
            else:
                rows[key] = (source, method)
    return rows


def run_all(
    runs: dict[Key, tuple[Source, str]], options: argparse.Namespace, place: Path, store: Store
) -> None:
    """Run what is not finished; at the first failure, end what has not begun."""
    left = {key: run for key, run in runs.items() if key not in store.known}
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        try:
            for done, (key, outcome) in enumerate(outcomes(left, pool, options, place), start=1):
                store.put(key, outcome)
                said = f"{outcome.seconds:.1f} s {outcome.remark}"
                tell(f"{done}/{len(left)} {', '.join(key)}: {said}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def outcomes(
    left: dict[Key, tuple[Source, str]],
    pool: ProcessPoolExecutor,
    options: argparse.Namespace,
    place: Path,
) -> Iterator[tuple[Key, Outcome]]:
    """Give outcomes as they come: features and the long methods begin first, then who needs them."""
    slow = {ERRDETECT: 0, CEILING: 1, "LightGBM, tuned": 2, "CatBoost": 3}
    order = sorted(left, key=lambda key: slow.get(key[2], 4))
    ours = QUICK_SETTINGS if options.quick else ()
    effort = effort_of(options)

    def begin(key: Key) -> tuple[Future, Key]:
        source, method = left[key]
        return pool.submit(run_method, source, method, place, effort, ours), key

    needing = dict.fromkeys(left[key][0] for key in order if key[2] in NEED_FEATURES)
    waiting: dict[Future, Source | Key] = {
        pool.submit(make_features, source, place): source for source in needing
    }
    waiting |= dict(begin(key) for key in order if key[2] not in NEED_FEATURES)
    while waiting:
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            result, what = future.result(), waiting.pop(future)
            if isinstance(what, Source):
                tell(f"{what.name}, {what.variant}: features made")
                waiting |= dict(
                    begin(key) for key in order if key[2] in NEED_FEATURES and left[key][0] == what
                )
            else:
                yield what, result


def effort_of(options: argparse.Namespace) -> Effort:
    threads = options.threads or max(1, (os.cpu_count() or 1) // options.jobs)
    if options.quick:
        return Effort(trials=min(options.trials, 2), rounds=30, threads=threads)
    return Effort(trials=options.trials, threads=threads)


def missing(rows: dict[Key, tuple[Source, str] | Key], store: Store) -> list[tuple[str, str]]:
    """Return the sets, with their kind of reviews, of which not every method is finished."""
    taken = {key: key if isinstance(run[0], Source) else run for key, run in rows.items()}
    return sorted({key[:2] for key, run in taken.items() if run not in store.known})


def gather(
    source: Source, rows: dict[Key, tuple[Source, str] | Key], store: Store
) -> dict[str, Outcome]:
    """Return each method's outcome on a set; what was taken over from another row says so."""
    found = {}
    for key, run in rows.items():
        if key[:2] == (source.name, source.variant):
            taken = key if isinstance(run[0], Source) else run
            found[key[2]] = store.known[taken]
            if key[2] != taken[2]:
                remark = "the run on full reviews, which are the truth"
                found[key[2]] = replace(found[key[2]], remark=remark)
    return found


def measure_all(
    found: dict[Source, dict[str, Outcome]],
    shapes: dict[Source, Shape],
    options: argparse.Namespace,
) -> list[Cell]:
    """Measure every set, in as many processes as may run."""
    calls = []
    for source, shape in shapes.items():
        scores = {method: outcome.scores for method, outcome in found[source].items()}
        sizes = (shape.learn, shape.labels)
        calls.append((source.name, source.variant, sizes, shape.y, scores, options.resamples))
    if options.jobs == 1:
        return [measure(*call) for call in calls]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(measure, *zip(*calls, strict=True)))


def read_options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the real sets")
    parser.add_argument("--sets", nargs="+", help="folders of --data, and simulator; default: all")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD",
                        help=f"of: {', '.join(METHODS)}")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the simulator")
    parser.add_argument(
        "--unseen",
        choices=["also", "only", "no"],
        default="also",
        help="sets whose later decisions are of groups that learning never had",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes, which share the processors")
    parser.add_argument("--threads", type=int, help="of each method; default: an equal share")
    parser.add_argument("--trials", type=int, default=30, help="of the tuned peer")
    parser.add_argument("--resamples", type=int, default=500, help="behind each interval")
    parser.add_argument("--quick", action="store_true",
                        help=f"{QUICK_ROWS} decisions a set and little tuning, to see that it runs")  # fmt: skip
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keeps what is finished")
    parser.add_argument("--finished", action="store_true",
                        help="run nothing: measure the sets of which --resume holds every method")  # fmt: skip
    parser.add_argument("--out", type=Path, default=REPO / "benchmarks/results")
    return parser.parse_args()


def main(description: str) -> int:
    """Run the benchmark as the command line says; the exit status."""
    options = read_options(description)
    effort = effort_of(options)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(effort.threads)
    methods = [m for m in METHODS if m in options.methods]
    with tempfile.TemporaryDirectory() as temporary:
        sources = find_sources(options, Path(temporary))
        if not sources:
            tell("nothing to measure; name a folder of sets with --data, or --sets simulator")
            return 2
        shapes = {source: shape_of(source) for source in sources}
        rows = plan(sources, shapes, methods)
        runs = {key: run for key, run in rows.items() if isinstance(run[0], Source)}
        store = Store(options.resume, f"trials={effort.trials} quick={options.quick}")
        if options.finished:
            left = missing(rows, store)
            tell(
                f"left out, as methods are missing: {'; '.join(map(', '.join, left)) or 'nothing'}"
            )
            sources = [source for source in sources if (source.name, source.variant) not in left]
            if not sources:
                return 2
        else:
            run_all(runs, options, Path(temporary), store)
    shapes = {source: shapes[source] for source in sources}
    found = {source: gather(source, rows, store) for source in sources}
    tell("measuring")
    cells = measure_all(found, shapes, options)
    seconds = {(s.name, s.variant): {m: o.seconds for m, o in f.items()} for s, f in found.items()}
    remarks = [
        f"{source.name}, {source.variant}, {method}: {outcome.remark}"
        for source, outcomes in found.items()
        for method, outcome in outcomes.items()
        if outcome.remark
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    tables = [table_rows(cell, seconds[cell.name, cell.variant]) for cell in cells]
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(options.out / "detection.csv", index=False, float_format="%.5g")
    settings = (
        f"The tuned peer took {effort.trials} trials; intervals come from {options.resamples:,} resamples; "
        f"{effort.threads} thread{'s' * (effort.threads > 1)} a method."
    )
    text = markdown(cells, seconds, remarks, settings)
    (options.out / "detection.md").write_text(text, encoding="utf-8")
    print(text)
    return 0
