"""Every week: check the data, learn from the reviews that came back, promote what passes the gate.

    python pipelines/weekly_retrain.py CONFIG [KEY=VALUE ...] [--json]

Exit status 1 where the gate says no, 2 where the data cannot be used. After an alarm or enough new
labels, start it with `--run NAME`, such as the day: by default it runs once a week.
"""

import errdetect
from errdetect.pipeline_steps import pipeline
from errdetect.workflows.champion import open_registry

with pipeline("weekly_retrain", every="%G-W%V") as run:
    registry = open_registry(run.config)

    def champion() -> str | None:
        """Return the version that scores now."""
        found = registry.champion_version()
        return None if found is None else found[0]

    def newest() -> str:
        """Return the versions that a training may add to."""
        return f"{champion()} {registry.challenger_version()}"

    run.step("validate", lambda: errdetect.validate(run.config))
    run.step(
        "train",
        lambda: errdetect.train(run.config, promote=False),
        status=lambda trained: 0 if trained.version else 1,
        mark=newest,
    )
    if run.status == 0:
        run.step(
            "promote",
            lambda: (
                errdetect.promote(run.config, by="weekly_retrain")
                if registry.challenger_version()
                else None
            ),
            status=lambda result: 1 if result is not None and result.answer == "refused" else 0,
            mark=champion,
        )
