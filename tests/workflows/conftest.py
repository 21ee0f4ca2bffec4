"""One small marketplace, trained once for all jobs' tests."""

from pathlib import Path

import pytest

from errdetect.config import Config, load_config
from errdetect.workflows.simulate import simulate
from errdetect.workflows.train import TrainResult, train


@pytest.fixture(scope="session")
def market(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("market")
    simulate(out, decisions=12_000, days=90, seed=3)
    return out


@pytest.fixture(scope="session")
def config(market) -> Config:
    return load_config(market / "config.yaml", ["train.trials=1", "evaluate.bootstrap=60"])


@pytest.fixture(scope="session")
def trained(config) -> TrainResult:
    return train(config)
