"""The whole way on real decisions; measured against truth that nothing else reads."""

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.stats.ranking_metrics import average_precision, calibration_error, recall_at
from errdetect.workflows.report import report
from errdetect.workflows.score import score
from errdetect.workflows.train import train

#: The best average precision that the data's README records of any other method, fitted alike.
PEERS = {"civil_comments": 0.606, "wiki_edits": 0.464}


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PEERS))
def test_train_score_report(name, shared_data, repo, tmp_path, monkeypatch):
    monkeypatch.setenv("ERRDETECT_DATA", str(shared_data))
    config = load_config(
        repo / f"configs/{name}.yaml",
        [f"registry.path={tmp_path / 'models'}", "train.trials=2", "evaluate.bootstrap=50"],
    )
    assert train(config).version == "1"
    scored = score(config, shared_data / name / "decisions.parquet", tmp_path / "queue")
    reported = report(config, tmp_path / "report")
    assert reported.files["report"].stat().st_size < 2_000_000

    truth = pd.read_parquet(shared_data / name / "truth.parquet")
    test = truth[truth["part"] == "test"].merge(
        pd.read_parquet(scored.files["scores"]), on="decision_id"
    )
    y, p = test["is_error"].to_numpy(float), test["p_error"].to_numpy()
    assert average_precision(y, p) > 0.93 * PEERS[name]
    assert recall_at(y, p, [0.05])[0] > 1.5 * 0.05
    assert calibration_error(y, p) < 0.045
