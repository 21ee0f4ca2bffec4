"""What MLflow calls to load a registered model: decisions in, P(error) out."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from errdetect.errors import DataError, sentence
from errdetect.model.bundle import Bundle, load_bundle
from errdetect.schemas import ALLOW_ACTIONS

__all__ = ["ServedModel"]


@dataclass(frozen=True)
class ServedModel:
    """A bundle behind MLflow's model interface."""

    bundle: Bundle

    def predict(self, decisions: pd.DataFrame) -> pd.DataFrame:
        """Score decisions.

        Parameters
        ----------
        decisions
            Shape (n, any), with `action` and the columns that the model learnt from; what is
            missing counts as unknown.

        Returns
        -------
        pandas.DataFrame
            Column p_error, shape (n, 1).

        Raises
        ------
        DataError
            Where the actions are missing.
        """
        if "action" not in decisions:
            do = "Send each decision's action."
            raise DataError(
                sentence("The decisions", "have the column 'action'", list(decisions.columns), do)
            )
        meaning = {**dict.fromkeys(ALLOW_ACTIONS, "allow"), **self.bundle.about.get("actions", {})}
        allowed = [name.strip().lower() for name, means in meaning.items() if means == "allow"]
        enforced = ~decisions["action"].astype("str").str.strip().str.lower().isin(allowed)
        decided = decisions.assign(enforced=enforced)
        p = self.bundle.probability(self.bundle.detector.features(decided), decided)
        return pd.DataFrame({"p_error": p}, index=decisions.index)


def _load_pyfunc(path: str) -> ServedModel:
    """Load a bundle; the name is MLflow's."""
    return ServedModel(load_bundle(Path(path)))
