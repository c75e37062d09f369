"""What a day's providers have made, and what they rescued: whose refusals, by which strategy, for how much."""

from decimal import Decimal
from typing import Any

from video_pipeline.feedback import providers_of_day
from video_pipeline.ledger import FailureKind, Job, JobKind, JobState
from video_pipeline_tests.ledger.rows import a_job


def job(shot: str, provider: str, usd: str = "0", *, refused: bool = False, **fields: Any) -> Job:
    """An attempt at a shot that was accepted, or refused."""
    ended = {"state": JobState.FAILED, "failure_kind": FailureKind.MODERATION} if refused else {}
    sent = {"state": JobState.ACCEPTED, "provider_job_id": f"at {provider}"} if not refused else {}
    return a_job(shot, provider=provider, billed_usd=Decimal(usd), **(ended | sent | fields))


def test_a_day_without_jobs_has_no_providers() -> None:
    assert providers_of_day([]) == []


def test_what_was_made_at_once_is_no_rescue() -> None:
    [fal] = providers_of_day([job("a", "fal", "0.1"), job("b", "fal", "0.2")])
    assert (fal.asked, fal.refused, fal.made, fal.rescued, fal.usd) == (2, 0, 2, {}, Decimal("0.3"))
    assert fal.rescued_usd == fal.rescued_shots == fal.refused_elsewhere == 0


def test_a_rescue_is_told_by_its_strategy_with_all_that_the_shot_has_cost() -> None:
    rows = [
        job("softened", "fal", refused=True),
        job("softened", "fal", "0.10", strategy="prompt_remapping"),
        job("given away", "fal", "0.05", refused=True),
        job("given away", "fal", "0.003", kind=JobKind.IMAGE, strategy="image_anchoring"),
        job("given away", "fal", refused=True, strategy="image_anchoring"),
        job("given away", "xai", "0.20", strategy="other_model"),
        job("at once", "xai", "0.20"),
    ]
    fal, xai = providers_of_day(rows)
    assert (fal.provider, fal.asked, fal.refused, fal.made) == ("fal", 5, 3, 1)
    assert (fal.rescued, fal.refused_elsewhere, fal.rescued_usd) == ({"prompt_remapping": 1}, 0, Decimal("0.10"))
    assert (xai.provider, xai.asked, xai.refused, xai.made) == ("xai", 2, 0, 2)
    assert (xai.rescued, xai.refused_elsewhere, xai.rescued_usd) == ({"other_model": 1}, 1, Decimal("0.253"))
    assert (fal.usd, xai.usd) == (Decimal("0.153"), Decimal("0.40"))


def test_a_failure_is_no_refusal_and_what_nobody_was_asked_for_counts_nowhere() -> None:
    failed = job("a", "fal", state=JobState.FAILED, failure_kind=FailureKind.TRANSIENT)
    cached = job("b", "fal", cached_from="another job")
    planned = a_job("c", provider="fal")
    [fal] = providers_of_day([failed, job("a", "fal"), cached, planned])
    assert (fal.asked, fal.refused, fal.made, fal.rescued_shots) == (2, 0, 1, 0)


def test_what_the_own_gpu_makes_is_told_apart() -> None:
    own, bought = providers_of_day([job("a", "comfyui", "0.000012"), job("b", "fal", "0.1")])
    assert (own.provider, own.own_gpu, bought.own_gpu) == ("comfyui", True, False)
