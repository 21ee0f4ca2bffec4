"""Every week: check the data, learn from the reviews that came back, promote what passes the gate.

    python pipelines/weekly_retrain.py CONFIG [KEY=VALUE ...] [--json]

Exit status 1 where the gate says no, 2 where the data cannot be used. By default it runs once a week. With
`train.retrain` in the config, start it daily: it then trains only by age, after an alarm, or with enough new labels.
"""

import errdetect
from errdetect.pipeline_steps import pipeline
from errdetect.workflows.retrain_due import retrain_due, run_period
from errdetect.workflows.run_description import open_registry

with pipeline("weekly_retrain", every=run_period) as run:
    registry = open_registry(run.config)

    def champion() -> str | None:
        """Return the version that scores now."""
        found = registry.champion_version()
        return None if found is None else found[0]

    def newest() -> str:
        """Return the versions that a training may add to."""
        return f"{champion()} {registry.challenger_version()}"

    due = retrain_due(run.config, run.earlier())
    reasons = "; ".join(due.reasons) or "not due"
    run.log("due", "done", {"reasons": reasons, "n_labels": due.n_labels})
    if due.reasons:
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
