"""What MLflow calls to load a registered model: decisions in, P(error) out."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from errdetect.data.actions import action_meanings, action_word
from errdetect.errors import DataError, sentence
from errdetect.model.bundle import Bundle, load_bundle

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
            Where the actions are missing, or one of them has no known meaning.
        """
        if "action" not in decisions:
            do = "Send each decision's action."
            raise DataError(
                sentence("The decisions", "have the column 'action'", list(decisions.columns), do)
            )
        meanings = action_meanings(self.bundle.about.get("actions", {}))
        words = decisions["action"].astype("str").map(action_word)
        unknown = decisions["action"][~words.isin(list(meanings)).to_numpy(bool)]
        if len(unknown):
            must = "be known action words, or mapped under data.actions when the model was trained"
            got = f"{len(unknown)} others (first: {str(unknown.iloc[0])[:40]!r})"
            raise DataError(sentence("The actions", must, got, "Map them and train again."))
        enforced = (words.map(meanings) == "enforce").to_numpy(bool)
        decided = decisions.assign(enforced=enforced)
        p = self.bundle.probability(self.bundle.detector.features(decided), decided)
        return pd.DataFrame({"p_error": p}, index=decisions.index)


def _load_pyfunc(path: str) -> ServedModel:
    """Load a bundle; the name is MLflow's."""
    return ServedModel(load_bundle(Path(path)))
