"""The champion behind MLflow's model interface: the answers that the latest scoring run gives.

Histories and similar content are as of the state that `errdetect score` keeps; every answer carries its
stamp. Without that state, or with one that is too old or another model's, nothing is answered.
"""

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from errdetect.data.sources import dataframes_as_files
from errdetect.data.table_reading import TableRead, iter_decisions
from errdetect.errors import DataError, ErrdetectError, ModelError, error_message
from errdetect.features.typed_columns import read_levels, typed_columns
from errdetect.model.bundle import ModelBundle, load_bundle
from errdetect.model.bundle_files import folder_digest
from errdetect.model.mlflow_session import find_registry, mlflow_error
from errdetect.workflows.decision_explainer import Explainer
from errdetect.workflows.score_batches import BatchScorer
from errdetect.workflows.served_state import ServedState, read_served_state, served_stamp

__all__ = ["ANSWER", "MOST_ROWS", "UNFORESEEN", "ServedModel", "age_hours"]

#: Columns of an answer, one row for each decision asked about, in order.
ANSWER = (
    "decision_id", "p_error", "error_kind", "expected_harm", "suggested_policy_id", "reasons",
    "model_version", "state_as_of", "state_age_hours", "refused",
)  # fmt: skip
#: What a content that nobody thought of may raise: its traceback belongs into the log, not into an answer.
UNFORESEEN = (
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
    MemoryError,
    OSError,
)
_LOG = logging.getLogger(__name__)
#: Decisions of one request.
MOST_ROWS = 100_000


@dataclass
class ServedModel:
    """A bundle that answers like the latest scoring run.

    Parameters
    ----------
    bundle, digest
        The model, and the SHA-256 over its files.
    folder
        The config's `state.folder`, or a copy of it.
    max_age_days
        Age of the state from which nothing is answered; None: what the config said.
    """

    bundle: ModelBundle
    digest: str
    folder: Path
    max_age_days: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _held: tuple[tuple[int, int] | None, ServedState] | None = None

    def get_raw_model(self) -> "ServedModel":
        """Return itself, by the name under which MLflow hands it out."""
        return self

    def state(self) -> ServedState:
        """Return the state; read again where a scoring run has written another.

        Raises
        ------
        ModelError
            Where there is none, it is another model's, or too old.
        """
        stamp = served_stamp(self.folder)
        with self._lock:
            if self._held is None or stamp != self._held[0]:
                read = read_served_state(self.folder, self.bundle.detector.encoding.names)
                self._held = (stamp, read)
            state = self._held[1]
        if state.model_digest != self.digest:
            must = "be written by a scoring run of the model that answers"
            got = f"one of version {state.model_version}, which is another"
            do = "Serve the champion, or promote this version; then run `errdetect score`."
            raise ModelError(error_message(f"The state in '{self.folder}'", must, got, do))
        most = state.max_age_days if self.max_age_days is None else self.max_age_days
        age = age_hours(state)
        if age > 24 * most:
            must = f"be at most {most:g} days old (state.max_age_days)"
            got = f"one of {state.written_at:%Y-%m-%d %H:%M} UTC, {age / 24:.1f} days old"
            do = "Run `errdetect score`, or allow older answers with max_age_days."
            raise ModelError(error_message(f"The state in '{self.folder}'", must, got, do))
        return state

    def predict(
        self, decisions: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score decisions as the latest scoring run scores them.

        Parameters
        ----------
        decisions
            Shape (n, any), the log's own columns.
        params
            `reasons`: whether to explain each decision, which takes most of the time; default true.

        Returns
        -------
        pandas.DataFrame
            Shape (n, 10), columns `ANSWER`, in the order and with the index of `decisions`; reasons are
            JSON. A row that cannot be used has only decision_id and `refused`, which says why.

        Raises
        ------
        mlflow.exceptions.MlflowException
            Where nothing can be answered; MLflow's server sends its text and status, no traceback.
        """
        explain = bool((params or {}).get("reasons", True))
        try:
            state = self.state()
        except ErrdetectError as error:
            raise mlflow_error(str(error), "TEMPORARILY_UNAVAILABLE") from None
        try:
            return self._answer(decisions, state, explain=explain)
        except ErrdetectError as error:
            raise mlflow_error(str(error), "INVALID_PARAMETER_VALUE") from None
        except UNFORESEEN as error:
            _LOG.exception("a request could not be answered")
            text = f"The request could not be answered ({type(error).__name__}); the server's log says more."
            raise mlflow_error(text, "INTERNAL_ERROR") from None

    def _answer(self, asked: object, state: ServedState, *, explain: bool) -> pd.DataFrame:
        if not isinstance(asked, pd.DataFrame) or not 0 < len(asked) <= MOST_ROWS:
            got = (
                f"{len(asked):,} rows" if isinstance(asked, pd.DataFrame) else type(asked).__name__
            )
            do = "Send named columns, and more decisions in several requests."
            must = f"be a table of 1 to {MOST_ROWS:,} decisions"
            raise DataError(error_message("The request", must, got, do))
        frame, refused = self._read(asked, state)
        out = pd.DataFrame(index=range(len(asked)), columns=list(ANSWER), dtype=object)
        if "decision_id" in asked:
            ids = read_levels(asked["decision_id"]).reset_index(drop=True)
            out["decision_id"] = ids.astype(object).where(ids.notna(), None)
        if len(frame):
            answers = self._score(frame, state, explain=explain)
            for name in answers:
                out.loc[frame.index, name] = answers[name].to_numpy(object)
            copies = out.index.difference(frame.index).difference(refused.index)
            first = dict(zip(out.loc[frame.index, "decision_id"], frame.index, strict=True))
            at = [first[one] for one in out.loc[copies, "decision_id"]]
            out.loc[copies] = out.loc[at].to_numpy(object)
        out.loc[refused.index, "refused"] = refused.to_numpy(object)
        out["state_as_of"] = state.written_at.isoformat(timespec="seconds")
        out["state_age_hours"] = round(age_hours(state), 2)
        out = out.where(out.notna(), None)  # JSON has no NaN
        for name in ("p_error", "expected_harm") if not len(refused) else ():
            out[name] = out[name].astype("float64")
        return out.set_axis(asked.index)

    def _read(
        self, asked: pd.DataFrame, state: ServedState
    ) -> tuple[pd.DataFrame, "pd.Series[str]"]:
        """Return the usable rows and the others' reasons, each by its position in the request."""
        encoding = self.bundle.detector.encoding
        reads: list[TableRead] = []
        with dataframes_as_files({"decisions": asked}) as files:
            try:
                reads.extend(iter_decisions(files["decisions"], **state.reading))
            except DataError:  # also where no row can be used: then each has its reason
                if not reads:
                    raise
        rejects = pd.concat([read.rejects for read in reads], ignore_index=True)
        frame = pd.concat([read.frame for read in reads if len(read.frame)] or [reads[0].frame])
        refused = pd.Series(
            rejects["reason"].to_numpy(object), rejects["row"].to_numpy(np.int64) - 1, dtype=object
        )
        rest = np.setdiff1d(np.arange(len(asked)), refused.index.to_numpy())
        if len(rest) > len(frame):  # copies of rows above are left out
            repeated = read_levels(asked["decision_id"]).iloc[rest].duplicated().to_numpy(bool)
            rest = rest[~repeated]
        if len(rest) != len(frame):
            do = "Send each decision once."
            got = "some that are equal once they are read"
            raise DataError(error_message("The request's decision_id", "be distinct", got, do))
        typed = typed_columns(frame, encoding.numeric_kinds, encoding.levels)[0]
        return typed.set_axis(rest), refused

    def _score(self, frame: pd.DataFrame, state: ServedState, *, explain: bool) -> pd.DataFrame:
        bundle = replace(self.bundle, calibrator=state.calibrator)
        scorer = BatchScorer(bundle, state.policies, state.queue)
        scored = scorer.answers(frame, state.past.add(frame))
        out = scored[["p_error", "error_kind", "expected_harm", "suggested_policy_id"]]
        reasons = None
        if explain:
            told = Explainer(bundle, state.words, state.policies, state.past).table(frame)[
                "reasons"
            ]
            reasons = [json.dumps(one, ensure_ascii=False) for one in told]
        return out.assign(reasons=reasons, model_version=state.model_version)


def age_hours(state: ServedState) -> float:
    """Return how old a state is, in hours."""
    return (datetime.now(UTC) - state.written_at).total_seconds() / 3600


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> ServedModel:
    """Load a bundle with the state that it answers from; MLflow requires this name.

    Raises
    ------
    ModelError
        Where the model is damaged, or its state cannot be used.
    """
    place, given = Path(path), dict(model_config or {})
    bundle = load_bundle(place)
    named = given.get("state") or os.environ.get("ERRDETECT_STATE")
    registry = find_registry(place)
    if named is None and registry is not None and "state" in bundle.about:
        named = os.path.normpath(registry / str(bundle.about["state"]))
    days = given.get("max_age_days") or os.environ.get("ERRDETECT_STATE_MAX_AGE_DAYS")
    model = ServedModel(
        bundle,
        folder_digest(place),
        Path(named or "errdetect.state"),
        None if days is None else float(days),
    )
    model.state()
    return model
