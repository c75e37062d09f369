"""Clip facts with everything that a test does not care about filled in."""

from datetime import date
from decimal import Decimal
from typing import Any

from video_pipeline.clips import ClipStatus
from video_pipeline.feedback import ClipFact, CostReport, FirstTry, ModelAttempts, Outcome, TierSpending

DAY = date(2026, 11, 21)


def attempts(
    model: str = "sandbox/sprint",
    *,
    accepted: int = 0,
    refusals: int = 0,
    failures: int = 0,
    rejections: int = 0,
    version: str = "1",
    tier: str = "preview",
    usd: str = "0",
    billed_s: float = 0.0,
    own_tier: str = "",
) -> ModelAttempts:
    return ModelAttempts(
        model=model,
        model_version=version,
        tier=tier,
        attempts=accepted + refusals + failures + rejections,
        accepted=accepted,
        refusals=refusals,
        failures=failures,
        rejections=rejections,
        billed_usd=Decimal(usd),
        billed_s=billed_s,
        own_tier=own_tier,
    )


def tries(
    model: str = "sandbox/sprint",
    *,
    accepted: int = 0,
    refused: int = 0,
    rejected: int = 0,
    day: date = DAY,
    tier: str = "preview",
    version: str = "1",
    **fields: Any,
) -> list[ClipFact]:
    """A day's clips, each first tried at one model."""
    ends = [Outcome.ACCEPTED] * accepted + [Outcome.REFUSED] * refused + [Outcome.REJECTED] * rejected
    return [
        a_fact(
            f"{model} {version} {number}",
            attempts(
                model,
                accepted=end is Outcome.ACCEPTED,
                refusals=end is Outcome.REFUSED,
                rejections=end is Outcome.REJECTED,
                version=version,
                tier=tier,
                usd="0.02",
                billed_s=1.0,
            ),
            day=day,
            tier=tier,
            model=model,
            model_version=version,
            firsts=(FirstTry(model=model, model_version=version, outcome=end),),
            **fields,
        )
        for number, end in enumerate(ends)
    ]


def a_fact(name: str = "clip", *by_model: ModelAttempts, day: date = DAY, **fields: Any) -> ClipFact:
    """A usable clip of the preview tier that cost nothing; `total_usd` is the sum of the lines unless given."""
    values: dict[str, Any] = {
        "clip_id": f"{day}/{name}",
        "brief_id": name,
        "day": day,
        "title": name,
        "status": ClipStatus.PASSED,
        "reason": "",
        "usable": True,
        "tier": "preview",
        "model": "sandbox/sprint",
        "model_version": "1",
        "strategy": "original",
        "attempts": 1,
        "cached": False,
        "saved_usd": Decimal(0),
        "generation_usd": Decimal(0),
        "retry_usd": Decimal(0),
        "upscaling_usd": Decimal(0),
        "audio_usd": Decimal(0),
        "distribution_usd": Decimal(0),
        "waste": {},
        "generation_s": 0.0,
        "rendered_s": 0.0,
        "final_size": (1080, 1920),
        "platforms": ("youtube_shorts",),
        "published_urls": (),
        "hook": "",
        "style": "",
        "views": None,
        "completion": None,
        "shares": None,
        "by_model": by_model,
    } | fields
    lines = ("generation_usd", "retry_usd", "upscaling_usd", "audio_usd", "distribution_usd")
    values.setdefault("total_usd", sum((values[line] for line in lines), Decimal(0)))
    return ClipFact(**values)


def a_tier(
    tier: str = "preview", *, made: int = 0, waiting: int = 0, planned: str = "0.10", **fields: Any
) -> TierSpending:
    """A day of a tier: `made` clips, each of one accepted attempt at its planned price, and some that wait."""
    usd = Decimal(planned)
    values: dict[str, Any] = {
        "tier": tier,
        "made": made,
        "waiting": waiting,
        "assumed": 0,
        "waiting_usd": usd * waiting,
        "compared": made,
        "compared_usd": usd * made,
        "expected_usd": usd * made,
        "price_usd": Decimal(0),
        "leak_usd": Decimal(0),
        "attempts": made,
        "accepted": made,
        "expected_accepted": 0.9 * made,
    } | fields
    return TierSpending(**{"paid_usd": values["compared_usd"], **values})


def a_report(day: date, *spending: TierSpending) -> CostReport:
    """A day's report with only what the drift is judged on."""
    made = sum(row.made for row in spending)
    paid_usd = sum((row.paid_usd for row in spending), Decimal(0))
    return CostReport(
        day=day,
        clips=sum(row.clips for row in spending),
        generated=made,
        usable=made,
        total_usd=paid_usd,
        generation_usd=paid_usd,
        generation_usd_per_clip=paid_usd / made if made else None,
        usd_per_usable_clip=None,
        saved_by_cache_usd=Decimal(0),
        waste={},
        lines=(),
        by_day={},
        spending=spending,
    )
