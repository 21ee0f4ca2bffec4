"""The sections of the config: their keys, defaults and limits."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from errdetect.table_settings import (
    ConfigSection,
    DatabaseSource,
    FileSource,
    PathText,
    Place,
    PresetName,
    RegistryAddress,
    RegistryFolder,
    SourceText,
    TableMapping,
)

__all__ = [
    "AuditSettings",
    "ConfigSection",
    "DataSettings",
    "DatabaseSource",
    "DsaSettings",
    "EstimateSettings",
    "EvaluateSettings",
    "ExportSettings",
    "FeaturesSettings",
    "FileSource",
    "GateSettings",
    "LabelsSettings",
    "LedgerSettings",
    "LookAlikesSettings",
    "Measure",
    "MonitorSettings",
    "NotifySettings",
    "Place",
    "PoolSettings",
    "QueueSettings",
    "RegistrySettings",
    "RemediationSettings",
    "ReportSettings",
    "RetentionSettings",
    "RetrainSettings",
    "ReviewersSettings",
    "ScoreSettings",
    "Share",
    "Source",
    "StateSettings",
    "TargetsSettings",
    "TrainSettings",
    "WhitelistSettings",
]


Share = Annotated[float, Field(gt=0, le=1)]
Measure = Literal["error_rate", "wrongful_rate", "missed_rate", "precision", "recall", "accuracy"]
Source = Literal["audit", "appeal", "re_review", "golden", "adjudication", "report"]


class DataSettings(ConfigSection):
    """Where the tables are and what their columns and actions mean."""

    folder: PathText | None = Field(
        None,
        description="folder that the paths below are relative to; default: the config's folder",
    )
    decisions: Place = Field(
        description="path, list of paths, glob, or a database's table or query"
    )
    reviews: Place | None = Field(None, description="path, list of paths, glob, or a database")
    draws: Place | None = Field(
        None, description="audit draws made elsewhere: path, list of paths, glob, or a database"
    )
    policies: PathText | None = Field(None, description="the policy catalogue (YAML)")
    columns: dict[str, str] = Field({}, description="your column name: our column name")
    actions: dict[str, Literal["allow", "enforce"]] = Field({}, description="what an action means")
    drop: list[str] = Field([], description="columns to ignore")
    max_rejected: float = Field(
        0.05,
        ge=0,
        le=1,
        description="largest share of the decisions that may be unusable; more is refused",
    )
    preset: PresetName | None = Field(
        None,
        description="read another system's decision log as it is, such as dsa_statements",
    )
    thresholds: dict[str, float] = Field(
        {}, description="of a moderation API's preset: category, or default: score that enforces"
    )

    def with_files(self, files: Mapping[str, str | None]) -> "DataSettings":
        """Return the same with other files for some tables, each read as the table's entry says.

        Examples
        --------
        >>> data = DataSettings(decisions={"path": "log.csv", "columns": {"ts": "decided_at"}})
        >>> data.with_files({"decisions": "new.parquet"}).mapping("decisions").pairs()
        [('ts', ['decided_at'])]
        """
        places: dict[str, object] = dict(files)
        for name, file in files.items():
            own = getattr(self, name)
            if isinstance(own, TableMapping) and own.converts and file is not None:
                kept = {key: getattr(own, key) for key in TableMapping.model_fields}
                places[name] = FileSource(path=file, **kept)
        return self.model_copy(update=places)

    def mapping(self, table: Literal["decisions", "reviews", "draws"]) -> TableMapping | None:
        """Return how to read a table as its own entry says; None where it is read as it is."""
        place = getattr(self, table)
        own = place if isinstance(place, TableMapping) and place.converts else None
        if table != "decisions" or self.preset is None or (own is not None and own.preset):
            return own
        preset = {"preset": self.preset, "thresholds": self.thresholds}
        return TableMapping(**preset) if own is None else own.model_copy(update=preset)


class RegistrySettings(ConfigSection):
    """Where models and runs are kept."""

    path: RegistryFolder = "models"
    uri: RegistryAddress | None = Field(
        None, description="an MLflow tracking server, or MLflow's database (PostgreSQL or SQLite)"
    )
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")] = "errdetect"


class StateSettings(ConfigSection):
    """What scoring keeps of the log between runs."""

    keep: bool = Field(True, description="false: read the whole log in every run")
    folder: PathText = "errdetect.state"
    max_age_days: float = Field(
        3.0, gt=0, description="age of the state from which a served model answers nothing"
    )


class LedgerSettings(ConfigSection):
    """Where runs, the queue, finished reviews and remediations are recorded."""

    url: SourceText | None = Field(
        None, repr=False, description="null: errdetect.db in the config's folder"
    )


class LabelsSettings(ConfigSection):
    """How reviews become labels."""

    as_of: datetime | None = Field(None, description="use only what was known by then (UTC)")
    maturity_days: dict[Source, Annotated[float, Field(ge=0)]] = Field(
        {},
        description="days a source may take before 'no review' is final; default 184 for appeal "
        "and report",
    )
    reviewers: Literal["model", "votes"] = Field(
        "model",
        description="model: weight reviewers by their error rates; votes: count all equally",
    )
    exclude_reviewers: list[Annotated[str, Field(min_length=1)]] = Field(
        ["auto"],
        description="whose reviews are left out: reviewer ids, site:NAME, and auto, which leaves the "
        "audit and golden reviews out of the estimates of those who are surely no better than "
        "chance; reviewer:NAME for a reviewer of such a name; []: nobody",
    )

    @field_validator("as_of")
    @classmethod
    def _as_utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class FeaturesSettings(ConfigSection):
    """What the model may learn from."""

    leave_out: list[str] = Field([], description="columns that are read but are not features")
    text: bool = Field(True, description="learn from the content's text where there is one")
    history: bool = Field(True, description="learn from the history of accounts, policies, ...")
    similar: bool = Field(True, description="learn from earlier verdicts on the same content")


class RetrainSettings(ConfigSection):
    """When `weekly_retrain` trains; without any of these, at every start."""

    days: float | None = Field(
        None, ge=0, description="days since the champion or the last try; null: not by age"
    )
    labels: int | None = Field(
        None, ge=1, description="decisions reviewed since then; null: not by labels"
    )
    alert: bool = Field(False, description="an alarm of daily_monitor since then")


class TrainSettings(ConfigSection):
    """How the model is fitted."""

    trials: int = Field(12, ge=0, description="settings that Optuna tries; 0 keeps the default")
    seconds: float | None = Field(
        None, gt=0, description="stop tuning after this time; null: no limit"
    )
    objective: Literal["average_precision", "recall", "harm"] = Field(
        "average_precision",
        description="what tuning and blending maximise on held-out time: average precision, or the "
        "share of errors, or of their harm, found within the queue's budget",
    )
    propensity: Literal["off", "audit"] = Field(
        "off",
        description="audit: weight audit labels by 1 / inclusion probability in training; "
        "off: weight all labels equally, which ranked better on held-out data",
    )
    resume: bool = Field(
        False,
        description="keep trials next to the registry, so that interrupted tuning resumes",
    )
    seed: int = Field(0, ge=0)
    threads: int | None = Field(None, ge=1, description="default: all cores")
    parts: tuple[Share, Share, Share] = Field(
        (0.6, 0.2, 0.2), description="shares of labelled decisions, by time: fit, tune, test"
    )
    retrain: RetrainSettings = RetrainSettings()

    @field_validator("propensity", mode="before")
    @classmethod
    def _off_for_false(cls, value: object) -> object:
        return "off" if value is False else value  # YAML reads the bare word as a boolean

    @field_validator("parts")
    @classmethod
    def _require_sum_of_one(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(value) - 1) > 1e-9:
            raise ValueError(f"must add up to 1, got {sum(value):g}")
        return value


class EvaluateSettings(ConfigSection):
    """How the model is measured on held-out decisions."""

    budgets: list[Share] = Field([0.01, 0.05, 0.10, 0.20], min_length=1)
    bootstrap: int = Field(400, ge=50, description="resamples behind each interval")


class GateSettings(ConfigSection):
    """What a new model must show before it is registered, and whether it then scores."""

    min_errors: int = Field(
        20, ge=1, description="held-out errors below which the gate is inconclusive"
    )
    margin: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="average precision that a cheaper or fresher model may lack of the champion's",
    )
    cheaper: float = Field(
        0.9, gt=0, le=1, description="share of the champion's price that counts as cheaper"
    )
    fresher_days: float = Field(
        30, gt=0, description="days that labels must reach beyond the champion's to be fresher"
    )
    promote: bool = Field(
        False, description="whether a validated model replaces the champion at once"
    )


class PoolSettings(ConfigSection):
    """A team of interchangeable reviewers."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    minutes: float = Field(gt=0, description="reviewer minutes for one run of `score`")
    markets: list[str] = Field([], description="markets it can review; empty: any")
    languages: list[str] = Field([], description="`en` includes `en-GB`")
    policies: list[str] = Field([], description="policies it is trained for; empty: any")
    site: str | None = Field(None, description="its site, as named in the reviews")


class ScoreSettings(ConfigSection):
    """What scoring accepts, and which level its probabilities have."""

    max_unreadable: float = Field(
        0.01,
        ge=0,
        le=1,
        description="largest share of the decisions with an unreadable value in one of the model's "
        "numeric columns; more is refused, less counts as missing",
    )
    follow_levels: bool = Field(
        True,
        description="shift P(error) by the designed reviews of decisions taken after the training",
    )


class QueueSettings(ConfigSection):
    """Which decisions go to human reviewers."""

    budget: Annotated[int, Field(ge=1)] | Share = Field(
        0.05, description="reviews per run: a count, or a share of the decisions scored"
    )
    minutes: float | None = Field(
        None, gt=0, description="reviewer minutes per run, instead of budget"
    )
    pools: list[PoolSettings] = Field([], description="reviewer teams, instead of budget")
    minimum_shares: dict[Literal["policy_id", "market"], dict[str, Share]] = Field(
        {}, description="minimum share of the minutes for a policy or market"
    )
    account_cap: int | None = Field(
        None, ge=1, description="maximum number of ranked reviews per account"
    )
    one_job: bool = Field(True, description="review identical content once, for all its decisions")
    half_life_days: float | None = Field(
        None,
        gt=0,
        description="age at which half of the harm can no longer be remedied; null: never",
    )
    explore_share: Share | Literal["auto"] = Field(
        "auto",
        description="share of the budget drawn at random, to find unexpected errors; auto: "
        "enough to keep the error rate's interval within 1.3 times a uniform audit's",
    )
    exposure: Literal["none", "log", "linear"] = Field(
        "log", description="how exposure weighs harm: not, 1 + ln(1 + exposure), or exposure itself"
    )
    requeue_reviewed: bool = Field(False, description="queue decisions that were already reviewed")
    seed: int = Field(0, ge=0)
    record: bool = Field(
        True, description="record runs in the ledger; false: scoring writes only its output files"
    )
    scores: PathText | list[PathText] | None = Field(
        None,
        description="scores.parquet of earlier runs, instead of the ledger's: path, list of paths, or glob",
    )

    @field_validator("budget", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("must be a whole number of reviews or a share above 0 up to 1")
        return value

    @field_validator("pools")
    @classmethod
    def _named(cls, value: list[PoolSettings]) -> list[PoolSettings]:
        names = [pool.name for pool in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"must have names that differ, got '{twice[0]}' twice")
        return value

    @field_validator("minimum_shares")
    @classmethod
    def _limit_share_sums(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for column, shares in value.items():
            if sum(shares.values()) > 1 + 1e-9:
                raise ValueError(
                    f"must add up to at most 1 for {column}, got {sum(shares.values()):g}"
                )
        return value


class EstimateSettings(ConfigSection):
    """How error rates are estimated."""

    min_reviews: int = Field(
        5, ge=1, description="reviews below which a group's estimates are suppressed"
    )
    correction: Literal["auto", "require", "none"] = Field(
        "auto",
        description="correct for reviewer error where possible, always (else no estimate), or never",
    )
    control: Literal["auto", "cross_fitted", "none"] = Field(
        "auto",
        description="P(error) used to narrow the intervals: cross-fitted on the audit, or none; auto uses the "
        "champion's where it was not trained on the audit, and none above 300,000 decisions",
    )
    cluster: str = Field(
        "auto",
        description="column whose decisions were drawn together or share their fate, such as account_id; "
        "auto: account_id or item_id where the draws show that accounts or items were drawn in full; none: no clusters",
    )
    borrow: bool = Field(
        True,
        description="narrow the intervals of four or more groups by the other groups' rates; each keeps its coverage",
    )
    max_lost: float = Field(
        0.02,
        ge=0,
        le=1,
        description="largest share of the audit sample's weight that may be lost between decisions and "
        "reviews; more is refused, less widens the intervals; 1: no limit",
    )


class AuditSettings(ConfigSection):
    """How the next audit is drawn and reviewed."""

    method: Literal["unequal", "neyman"] = Field(
        "unequal",
        description="unequal: favour likely errors, decision by decision; neyman: allocate among strata",
    )
    floor: float = Field(
        0.25,
        ge=0.2,
        le=1,
        description="share of the uniform inclusion probability that every decision keeps",
    )
    min_per_segment: int = Field(0, ge=0, description="minimum expected reviews per segment")
    adjudicate_flags: bool = Field(
        True, description="an expert adjudicates every decision that a reviewer flags as wrong"
    )
    golden_per_site: int = Field(
        100, ge=0, description="golden items per site; plan-audit says how many should be errors"
    )
    earlier_draws: Literal["include", "leave-out"] = Field(
        "include",
        description="include: draw from all decisions, whatever earlier draws hold; leave-out: only "
        "from those that no earlier draw holds",
    )
    record: bool = Field(
        True, description="record draws in the ledger; false: plan-audit writes only its files"
    )


class DsaSettings(ConfigSection):
    """What `estimate --dsa` needs to know for the EU's harmonised transparency report."""

    service: str | None = Field(None, description="name of the service in the report")
    by: Literal["language", "market"] = Field(
        "language", description="scopes: EU languages, or Member States"
    )
    own_initiative: dict[str, str] = Field(
        {"source_type": "SOURCE_VOLUNTARY"},
        description="column: value, of measures taken on the service's own initiative",
    )

    @field_validator("own_initiative")
    @classmethod
    def _require_one(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > 1:
            raise ValueError(f"must name one column, got {len(value)}")
        return value


class ReportSettings(ConfigSection):
    """What the policy report shows."""

    title: str | None = None
    by: list[str] = Field(
        ["policy_id", "market", "language", "moderator"], description="columns to split rates by"
    )
    queue_rows: int = Field(50, ge=0, le=1000)
    texts: bool = Field(
        False, description="whether the report and its tables hold the content's texts (shortened)"
    )
    min_group: int = Field(
        10, ge=1, description="reviews below which no figure is published, nor any that reveals it"
    )
    words: PathText | None = Field(
        None, description="your own reason texts: a YAML file; null: errdetect's"
    )
    open_appeals: PathText | None = Field(
        None, description="a table of the appeals that wait: decision_id, filed_at, due_at"
    )
    explained: int = Field(
        500, ge=1, description="decisions per policy that drivers are computed from"
    )


class ReviewersSettings(ConfigSection):
    """What the report shows about reviewers, and the key of their pseudonyms."""

    minimum: int = Field(30, ge=1, description="items below which a scorecard's rate is left out")
    key: PathText | None = Field(
        None,
        description="the file with the key of reviewers' pseudonyms; null: reviewers.salt in the registry's folder. "
        "The environment's ERRDETECT_REVIEWER_KEY takes precedence",
    )
    aql: float = Field(
        1.0, description="percent of wrong reviews that a site may have over time (ISO 2859-1)"
    )


class RetentionSettings(ConfigSection):
    """For how many days what errdetect keeps is kept; null: without end."""

    texts: float | None = Field(
        None, gt=0, description="reasons and texts in the ledger and in output tables"
    )
    reviews: float | None = Field(None, gt=0, description="reviews in the ledger")
    appeals: float | None = Field(None, gt=0, description="reviews that came of appeals, likewise")
    runs: float | None = Field(None, gt=0, description="runs with their scores and queue")

    def days(self) -> dict[str, float]:
        """Return the kinds that are not kept without end, with their days."""
        return {kind: days for kind, days in self.model_dump().items() if days is not None}


class WhitelistSettings(ConfigSection):
    """When an account is exempted from one policy's automated enforcement for a time."""

    min_reviews: int = Field(
        8, ge=1, description="reviewed enforcements below which an account is inconclusive"
    )
    min_wrongful_rate: Share = Field(
        0.5, description="share of wrong enforcements that the lower 95 % limit must reach"
    )
    days: float = Field(90, gt=0, description="how long the exception lasts")


class LookAlikesSettings(ConfigSection):
    """Which look-alikes of overturned decisions are suggested for review."""

    min_reviews: int = Field(
        20, ge=1, description="audited look-alikes below which expected precision is unknown"
    )
    min_precision: float = Field(
        0.1, ge=0, le=1, description="expected precision, where known, below which none is shown"
    )


class RemediationSettings(ConfigSection):
    """What follows from overturned reviews."""

    min_p_error: float = Field(
        0.5,
        ge=0,
        le=1,
        description="P(error) given its reviews that confirms an error without expert or granted appeal",
    )
    whitelist: WhitelistSettings = WhitelistSettings()
    look_alikes: LookAlikesSettings = LookAlikesSettings()


class ExportSettings(ConfigSection):
    """What the queue export contains."""

    columns: list[str] = Field(
        [
            "decided_at",
            "item_id",
            "item_type",
            "action",
            "market",
            "language",
            "category",
            "score",
            "threshold",
            "text",
        ],
        description="columns of the decisions to include; account_id only if named here",
    )
    show_reasons: bool = Field(
        False,
        description="whether reviewers in Label Studio see the reasons, P(error) and the value, which "
        "would anchor them",
    )


class TargetsSettings(ConfigSection):
    """Quality targets in addition to the policy catalogue's, which take precedence."""

    rates: dict[Measure, Annotated[float, Field(ge=0, le=1)]] = Field(
        {},
        description="measure: limit, for every policy; a minimum for precision, recall, accuracy",
    )
    per_market: bool = Field(
        False, description="apply every policy's targets in each market as well"
    )
    reviewer_accuracy: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="minimum share of golden items that each site answers correctly"
    )
    sites: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        {}, description="site: its own minimum accuracy"
    )

    @model_validator(mode="after")
    def _sites_need_a_rule(self) -> "TargetsSettings":
        if self.sites and self.reviewer_accuracy is None:
            raise ValueError("must set reviewer_accuracy where single sites have their own")
        return self


class NotifySettings(ConfigSection):
    """Who hears of an alarm, besides the exit status."""

    webhook: SourceText | None = Field(
        None, repr=False, description="https address that receives the table's alarms as JSON"
    )
    secret: Annotated[str, Field(pattern=r"^\$\{\w+\}$")] | None = Field(
        None, description="${NAME}: environment variable with the key of the webhook's signature"
    )
    command: list[Annotated[str, Field(min_length=1)]] = Field(
        [], description="command that gets the alarm's text on its standard input, such as a mailer"
    )

    @model_validator(mode="after")
    def _check_webhook(self) -> "NotifySettings":
        if self.webhook is None:
            return self
        if not self.webhook.startswith(("https://", "http://", "${")):
            raise ValueError("webhook must be an http(s) address or ${NAME}, got another text")
        if not self.secret:
            raise ValueError("webhook must have a secret that signs its messages, got none")
        return self


class MonitorSettings(ConfigSection):
    """When `monitor` calls an alarm, and what it compares."""

    reference_from: datetime | None = Field(
        None, description="first day of the reference period (UTC); null: the first audit answer's"
    )
    reference_to: datetime | None = Field(
        None, description="end of the reference period; null: after reference_days"
    )
    reference_days: int = Field(91, ge=7, description="length of the reference period")
    since: datetime | None = Field(
        None, description="evidence counts from this day; set it when an alarm has been dealt with"
    )
    window_days: int = Field(
        28, ge=1, description="latest days that are compared with the reference"
    )
    by: list[str] = Field(
        ["policy_id", "market", "moderator"],
        description="columns whose values are watched one by one",
    )
    yearly_level: float = Field(
        0.05,
        gt=0,
        le=0.5,
        description="share of years without any change that may bring an alarm, looking daily",
    )
    max_error_rate: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(
        {},
        description="`all` or column=value: error rate to hold it against instead of the reference",
    )
    min_reviews: int = Field(30, ge=2, description="answers below which a check is unknown")
    estimated_rise: float = Field(
        1.25, gt=1, description="early warning: estimated error, in times the reference's"
    )
    drift: float = Field(
        0.2,
        gt=0,
        description="population stability index of a feature or score above which it warns",
    )
    shift: float = Field(
        0.5, gt=0, description="Wasserstein distance in standard deviations above which it warns"
    )
    missing: float = Field(
        0.05, gt=0, le=1, description="rise of a column's missing share, or share of new values"
    )
    volume: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="decisions a day, as a share of the reference's, below which it warns",
    )
    delay_days: float = Field(
        7, gt=0, description="days that reviews or labels may take longer than in the reference"
    )
    response: Share = Field(0.9, description="share of due audit draws that must be answered")
    queue_yield: Share = Field(
        0.75, description="errors found by the queue, as a share of those expected"
    )
    calibration: float = Field(
        1.25, gt=1, description="audited over estimated errors (or the reverse) that warns"
    )
    reviewer_accuracy: Share = Field(
        0.05, description="fall of a site's share of right golden answers that warns"
    )
    model_days: float = Field(90, gt=0, description="age of the champion that warns")
    state_days: float = Field(
        7, gt=0, description="days without a new kept log (state.keep) that warn"
    )
    notify: NotifySettings = NotifySettings()

    @field_validator("reference_from", "reference_to", "since")
    @classmethod
    def _as_utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
