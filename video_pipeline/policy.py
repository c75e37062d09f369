"""Policy: the thresholds, budgets and weights of `policy.yaml`, validated, with an override file laid over them."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from video_pipeline.errors import ConfigurationError

PACKAGED = "package:"
"""How the path of a file begins that lies in an installed Python package."""

# Keys of earlier releases, as (section, key), and what they are called now.
_RENAMED = {
    ("generation", "concurrency"): "generation.providers.NAME.concurrency",
    ("generation", "poll_interval_s"): "generation.providers.NAME.poll_interval_s",
    ("scoring", "demote_rejection_rate"): "scoring.demote_rate",
    ("scoring", "demote_refusal_rate"): "scoring.demote_rate",
    ("scoring", "probation_share"): "exploration.probation_share",
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BudgetPolicy(_Section):
    daily_ceiling_usd: Decimal = Field(gt=0)
    plan_cap_usd: Decimal = Field(gt=0)
    alert_share: float = Field(gt=0, lt=1)


class Levers(_Section):
    """What makes a clip cheaper, each of which can be switched off."""

    any_tier: bool
    small_then_upscale: bool
    upscale_usd_per_megapixel: Decimal = Field(ge=0)
    reuse_previews: bool
    draft_seconds: float | None = Field(ge=1)
    round_to_billed: bool
    price_of_the_hour: bool
    off_peak_wait_h: float = Field(ge=0, le=24)


class Continuation(StrEnum):
    """When a further segment of a shot starts from the last frame of the one before."""

    WHERE_FREE = "where_free"
    ALWAYS = "always"
    NEVER = "never"


class RoutingThresholds(_Section):
    adequate_fidelity: dict[str, float]
    plain_complexity: dict[str, float]
    complex_complexity: float = Field(ge=0, le=1)
    preference_limit: float = Field(ge=0, le=0.2)
    max_upscale_factor: float = Field(ge=1)
    delivered_short_side: int = Field(gt=0, multiple_of=2)
    duration_tolerance: float = Field(gt=0, lt=0.5)
    continue_segments: Continuation
    script_tolerance: float = Field(gt=0, lt=1)
    levers: Levers

    @property
    def round_within(self) -> float:
        """By what share a shot may be bought shorter than it is."""
        return self.duration_tolerance if self.levers.round_to_billed else 0.0

    def reaches_delivered(self, short_side: int) -> bool:
        """Whether a picture of so many pixels on its short side can be upscaled to the delivered size."""
        return short_side * self.max_upscale_factor >= self.delivered_short_side


class ExplorationPolicy(_Section):
    usd_a_day: Decimal = Field(ge=0)
    share_of_day: float = Field(ge=0, le=1)
    floor: float = Field(ge=0, le=0.2)
    dearest: float = Field(ge=1)
    known_clips: int = Field(ge=1)
    new_clips_a_day: int = Field(ge=0)
    quarantine_days: int = Field(ge=0)
    probation_clips_a_day: int = Field(ge=0)
    probation_share: float = Field(ge=0, le=0.5)
    probation_usd_a_day: Decimal = Field(ge=0)
    trial_share: float = Field(ge=0, le=0.5)
    trials_a_day: int = Field(ge=0)


class ProviderLimits(_Section):
    """What is to differ at one provider from what its adapter declares."""

    concurrency: int | None = Field(default=None, ge=1)
    poll_interval_s: float | None = Field(default=None, gt=0)


class RiskCategory(StrEnum):
    """What in a prompt may be refused, by what a vendor's content policy would call it."""

    NAME = "name"
    AGE = "age"
    VIOLENCE = "violence"
    BODY = "body"
    FACE = "face"
    EMOTION = "emotion"
    SPEECH = "speech"
    PROFESSION = "profession"
    BRAND = "brand"
    FRAMING = "framing"


class RemappingPolicy(_Section):
    categories: tuple[RiskCategory, ...]
    lexicons: Path | None


class BrollPolicy(_Section):
    refused_share: float = Field(gt=0, le=1)
    least_shots: int = Field(ge=1)
    trailing_days: int = Field(ge=1)


class GenerationPolicy(_Section):
    providers: dict[str, ProviderLimits]
    poll_timeout_s: float = Field(gt=0)
    moderation_verdict_s: float = Field(ge=0)
    backoff_s: tuple[float, ...]
    max_ladder_attempts: int = Field(ge=0)
    remapping: RemappingPolicy
    broll: BrollPolicy
    max_other_models: int = Field(ge=0)
    max_modified_retries: int = Field(ge=0)
    max_quality_failures: int = Field(ge=1)
    corrections: dict[str, str]
    poll_patience_s: float = Field(gt=0)
    give_up_after_s: float = Field(gt=0)
    lookup_wait_s: float = Field(ge=0)
    lease_s: float = Field(gt=0)
    max_media_bytes: int = Field(gt=0)
    max_segment_s: float = Field(gt=0)

    @property
    def max_attempts(self) -> int:
        """The most attempts at a shot that moderation may refuse before a person is asked."""
        return 1 + self.max_ladder_attempts + self.max_other_models


class BreakerCause(StrEnum):
    """What makes a provider, or one of its models, be left alone."""

    OUTAGE = "outage"
    CREDIT = "credit"
    AUTH = "auth"
    REFUSALS = "refusals"
    SLOW = "slow"


class BreakerPolicy(_Section):
    outage_failures: int = Field(ge=1)
    slow_jobs: int = Field(ge=1)
    slow_after_s: float = Field(gt=0)
    failure_window_s: float = Field(gt=0)
    refusal_share: float = Field(gt=0, lt=1)
    refusal_confidence: float = Field(gt=0.5, lt=1)
    refusal_window_s: float = Field(gt=0)
    first_wait_s: dict[str, float]
    longest_wait_s: dict[str, float]
    probes: int = Field(ge=1)
    probe_patience_s: float = Field(ge=0)
    dearest_fall_over: Decimal = Field(ge=1)

    @model_validator(mode="after")
    def _waits_grow(self) -> "BreakerPolicy":
        for name in ("first_wait_s", "longest_wait_s"):
            waits: dict[str, float] = getattr(self, name)
            if set(waits) != set(BreakerCause) or min(waits.values()) <= 0:
                raise ValueError(f"{name} must have a wait over 0 for each of {', '.join(sorted(BreakerCause))}")
        short = [cause for cause, first_s in self.first_wait_s.items() if self.longest_wait_s[cause] < first_s]
        if short:
            raise ValueError(f"longest_wait_s must not be under first_wait_s, as for {', '.join(sorted(short))}")
        return self


Encoder = Literal["auto", "x264", "nvenc"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]


class MeasurementThresholds(_Section):
    """What a picture counts as. Luma is 0..255, correlations are -1..1."""

    analysed_side: int = Field(ge=16)
    black_luma: float = Field(ge=0, le=255)
    black_pixels: float = Field(gt=0, le=1)
    frozen_luma: float = Field(ge=0)
    frozen_run_s: float = Field(gt=0)
    noisy_correlation: float = Field(ge=-1, le=1)
    night_luma: float = Field(ge=0, le=255)
    night_pixels: float = Field(gt=0, le=1)
    night_correlation: float = Field(ge=-1, le=1)
    jump_correlation: float = Field(ge=-1, le=1)
    flat_deviation: float = Field(ge=0)
    max_decode_s: float = Field(gt=0)


class TechnicalThresholds(MeasurementThresholds):
    """Where a measure turns into a failure. Shares are 0..1."""

    size_tolerance: float = Field(ge=0, lt=0.5)
    shape_tolerance: float = Field(gt=0, lt=1)
    min_bytes: int = Field(ge=0)
    max_black_share: float = Field(ge=0, le=1)
    max_frozen_share: float = Field(ge=0, le=1)
    max_garbled_share: float = Field(ge=0, le=1)
    silent_peak: float = Field(ge=0, le=1)
    min_audio_share: float = Field(ge=0, le=1)
    max_length_disagreement: float = Field(ge=0, lt=1)
    length_slack_frames: int = Field(ge=0)


class SeamThresholds(_Section):
    """What is said of the seam between two segments of one shot; see `quality.measure_seam`."""

    neighbours: int = Field(ge=3)
    repeat_share: float = Field(gt=0, lt=1)
    most_repeats: int = Field(ge=1)
    still: float = Field(ge=0)
    least_jump: float = Field(gt=0)
    jump_factor: float = Field(gt=1)
    jump_frames: int = Field(ge=2)
    colour_free: float = Field(ge=0)
    colour_corrected: float = Field(ge=0)
    loudness_free_db: float = Field(ge=0)
    loudness_corrected_db: float = Field(ge=0)
    loudness_s: float = Field(gt=0)


class ClassifierPolicy(_Section):
    """An ONNX network that says how unsafe a picture is, and how a picture is made ready for it.

    `path` is a file, or `package:NAME/FILE` in an installed package; `sha256` is its content's. The picture is
    brought to `resize` pixels, of both sides (`squash`) or of the shorter one (`crop`), and cut to `side` in the
    middle; then it is (value - mean) / scale by channel, in the order of `channels`. What is unsafe is the sum of the
    network's first output at `unsafe`, after a softmax where it gives none itself.
    """

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    resize: int = Field(ge=1, le=4096)
    side: int = Field(ge=1, le=4096)
    fit: Literal["squash", "crop"] = "crop"
    jpeg: bool = False
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nhwc", "nchw"] = "nchw"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (255.0, 255.0, 255.0)
    softmax: bool = False
    unsafe: tuple[int, ...] = Field(min_length=1)
    person_from: float = Field(ge=0, le=1)
    block_from: float = Field(ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> "ClassifierPolicy":
        if self.side > self.resize:
            raise ValueError("side must not be over resize, of which it is cut out")
        if self.block_from < self.person_from:
            raise ValueError("block_from must not be under person_from")
        if 0 in self.scale:
            raise ValueError("scale must not hold a 0")
        return self


class SafetyPolicy(_Section):
    frames: int = Field(ge=1)
    every_s: float = Field(gt=0)
    classifiers: dict[str, ClassifierPolicy | None]

    @property
    def in_use(self) -> dict[str, ClassifierPolicy]:
        """The classifiers that are asked, by name; one that is null in the policy is not."""
        return {name: one for name, one in self.classifiers.items() if one is not None}


class RiskRule(_Section):
    """Words by language, and names of the remapping's file of names, that make a clip a person's to approve."""

    words: dict[str, tuple[str, ...]] = {}
    names: Literal["public_figures", "brands"] | None = None


class QualityPolicy(_Section):
    technical: TechnicalThresholds
    seams: SeamThresholds
    safety: SafetyPolicy
    risks: dict[str, RiskRule | None]


class UpscalingPolicy(_Section):
    model: str
    blend: float = Field(ge=0, le=1)
    denoise: float = Field(ge=0, le=1)
    crf: int = Field(ge=0, le=51)
    preset: Preset
    encoder: Encoder
    watts: float = Field(gt=0)
    cpu_watts: float = Field(gt=0)
    utilisation: float = Field(gt=0, le=1)
    usd_per_kwh: Decimal = Field(ge=0)

    def gpu_usd(self, seconds: float) -> Decimal:
        """Electricity of so many seconds of the GPU, in US dollars: an estimate, as the watts are the policy's."""
        joules = Decimal(str(seconds)) * Decimal(str(self.watts)) * Decimal(str(self.utilisation))
        return energy_usd(joules, self.usd_per_kwh)


class CostPolicy(_Section):
    audio_sync_usd: Decimal = Field(ge=0)
    distribution_usd: Decimal = Field(ge=0)
    price_stale_days: int = Field(ge=1)


class ReconcilePolicy(_Section):
    again_days: int = Field(ge=0, le=60)
    alert_usd: Decimal = Field(ge=0)
    alert_share: float = Field(ge=0)


class DriftPolicy(_Section):
    freeze_above_usd: Decimal = Field(gt=0)
    consecutive_days: int = Field(ge=1)
    beyond_share: float = Field(gt=0)
    trailing_days: int = Field(ge=2)
    minimum_clips: int = Field(ge=1)
    confidence: float = Field(gt=0.5, lt=1)
    probes_a_day: int = Field(ge=1)
    longest_freeze_days: int = Field(ge=1)

    @model_validator(mode="after")
    def _earlier_days(self) -> "DriftPolicy":
        if self.trailing_days <= self.consecutive_days:
            raise ValueError("trailing_days must be more than consecutive_days")
        return self


class ScoringPolicy(_Section):
    trailing_days: int = Field(ge=1)
    prior_strength: float = Field(gt=0)
    worth_prior_sd: float = Field(gt=0)
    minimum_attempts: int = Field(ge=1)
    confidence: float = Field(gt=0.5, lt=1)
    half_life_days: float = Field(gt=0)
    false_alarms: float = Field(gt=0, lt=0.5)
    false_alarm_nights: int = Field(ge=1)
    usual_floor: float = Field(gt=0, lt=0.5)
    demote_rate: float = Field(gt=0, lt=1)
    demote_step: float = Field(gt=0, lt=1)
    new_tries: int = Field(ge=1)
    new_rate: float = Field(gt=0, lt=1)
    new_step: float = Field(gt=0, lt=1)
    new_false_alarms: float = Field(gt=0, lt=0.5)
    mended_a_day: float = Field(gt=0, lt=1)
    restore_probability: float = Field(gt=0.5, lt=1)
    trial_after_days: int = Field(ge=1)
    trial_probability: float = Field(gt=0, lt=1)
    relapse_probability: float = Field(gt=0, lt=0.5)
    relapse_days: int = Field(ge=1)
    mature_age_days: int = Field(ge=0)
    worth_parts: dict[str, float]
    worth_half_life_days: float = Field(gt=0)
    promote_clips: int = Field(ge=2)
    promote_confidence: float = Field(gt=0.5, lt=1)
    promote_margin: float = Field(ge=0)
    promote_allowance: float = Field(ge=0, lt=0.5)
    promote_nights: int = Field(ge=1)
    unpromote_confidence: float = Field(gt=0.5, lt=1)


class GuidancePolicy(_Section):
    weeks: int = Field(ge=1, le=26)
    half_life_weeks: float = Field(gt=0)
    age_days: int = Field(ge=0, le=10)
    minimum_clips: int = Field(ge=2)
    confidence: float = Field(gt=0.5, lt=1)
    false_rate: float = Field(gt=0, lt=1)
    plausible_gain: float = Field(gt=0, le=0.5)
    holdout_share: float = Field(ge=0, le=1)


class AlertPolicy(_Section):
    stuck_after_s: float = Field(gt=0)
    silence_after_s: float = Field(gt=0)
    again_after_s: float = Field(gt=0)
    failed_again_after_s: float = Field(ge=0)
    backoff_s: tuple[float, ...] = Field(min_length=1)
    give_up_after_s: float = Field(ge=0)
    messages_a_minute: int = Field(ge=1)


class IntakePolicy(_Section):
    settle_s: float = Field(ge=0, le=60)


class WatchPolicy(_Section):
    runs_at_once: int = Field(ge=1)
    backoff_s: tuple[float, ...] = Field(min_length=1)


class Policy(_Section):
    """Everything that steers the pipeline and is neither a secret nor a place."""

    intake: IntakePolicy
    budget: BudgetPolicy
    routing: RoutingThresholds
    exploration: ExplorationPolicy
    generation: GenerationPolicy
    breaker: BreakerPolicy
    quality: QualityPolicy
    upscaling: UpscalingPolicy
    costs: CostPolicy
    reconcile: ReconcilePolicy
    drift: DriftPolicy
    scoring: ScoringPolicy
    guidance: GuidancePolicy
    alerts: AlertPolicy
    watch: WatchPolicy


def load_policy(override: Path | None = None, *, over: Policy | None = None) -> Policy:
    """The packaged policy, or `over`, with the keys of `override` (a YAML file) laid over it.

    Raises ConfigurationError naming the file and every wrong key.
    """
    if over is not None:
        document = over.model_dump()
    else:
        document = yaml.safe_load(resources.files("video_pipeline").joinpath("policy.yaml").read_text())
    if override is not None:
        changes = read_yaml_mapping(override, what="policy")
        _check_names(changes, override)
        changes = _beside(override, changes)
        document = _laid_over(document, changes)
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(f"The policy in {override} is not valid: {explain(error)}.") from error


def read_yaml_mapping(path: Path, *, what: str, words: bool = False) -> dict[str, Any]:
    """A YAML file that must hold a mapping; ConfigurationError says what is wrong with it otherwise.

    With `words` every value is the text that stands there: `no` and `on` are words of a language.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader if words else yaml.SafeLoader)
    except OSError as error:
        raise ConfigurationError(f"The {what} file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"The {what} file {path} is not UTF-8: save it as UTF-8 text.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"The {what} file {path} is not valid YAML: {' '.join(str(error).split())}."
        ) from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"The {what} file {path} must hold a mapping of keys to values.")
    return document


def energy_usd(joules: Decimal, usd_per_kwh: Decimal) -> Decimal:
    """What energy costs, in US dollars, rounded to a millionth."""
    return (joules / 3_600_000 * usd_per_kwh).quantize(Decimal("0.000001"))


def explain(error: ValidationError) -> str:
    """pydantic's findings as `field: what is wrong` clauses."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'document'}: {item['msg']}" for item in error.errors()
    )


def _check_names(changes: Mapping[str, Any], override: Path) -> None:
    """ConfigurationError that names the new key when `changes` uses a key of an earlier release."""
    for (section, old), new in _RENAMED.items():
        values = changes.get(section)
        if isinstance(values, Mapping) and old in values:
            raise ConfigurationError(
                f"The policy in {override} sets {section}.{old}, which is now {new}: rename it there."
            )


def _beside(override: Path, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """`changes` with the files and folders that it names told from the policy file's, unless they are absolute."""
    match changes:
        case {"generation": {"remapping": {"lexicons": str(folder)}}}:
            place = str(override.parent / folder)
            changes = _laid_over(changes, {"generation": {"remapping": {"lexicons": place}}})
        case _:
            pass
    match changes:
        case {"quality": {"safety": {"classifiers": dict(classifiers)}}}:
            places = {
                name: {"path": str(override.parent / path)}
                for name, one in cast("dict[str, object]", classifiers).items()
                if isinstance(one, dict) and isinstance(path := cast("dict[str, object]", one).get("path"), str)
                if not path.startswith(PACKAGED)
            }
            changes = _laid_over(changes, {"quality": {"safety": {"classifiers": places}}})
        case _:
            pass
    return changes


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _laid_over(below, value)
        else:
            merged[key] = value
    return merged
