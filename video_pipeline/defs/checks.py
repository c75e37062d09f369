"""Asset checks: the final gate's findings a day, and whether the ledger and the clips agree on the money."""

from collections.abc import Sequence

import dagster as dg

from video_pipeline.clips import GeneratedClip
from video_pipeline.defs.beside import listed
from video_pipeline.defs.partitions import DAILY, day_of
from video_pipeline.ledger import JobState, Ledger, SpendCategory
from video_pipeline.quality import CHECKS, ClipVerdict, Gate

# Never blocking: one bad clip is held back by itself, the others go on.
GATE_CHECKS = [
    dg.AssetCheckSpec(
        row.name.value,
        asset="reviewed_clips",
        partitions_def=DAILY,
        description=f"Of every finished clip, {row.wants}; else {row.follows[Gate.FINAL]}.",
        metadata={"thresholds": ", ".join(row.thresholds)},
    )
    for row in CHECKS
]


def gate_results(verdicts: Sequence[ClipVerdict]) -> list[dg.AssetCheckResult]:
    """One result a check, over all finished clips of the day."""
    results = []
    for row in CHECKS:
        failures = [check for verdict in verdicts for check in verdict.failures if check.name is row.name]
        results.append(
            dg.AssetCheckResult(
                check_name=row.name.value,
                passed=not failures,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"clips": len(verdicts), "failed": len(failures)}
                | ({"findings": listed(check.message for check in failures)} if failures else {}),
            )
        )
    return results


@dg.asset_check(asset="generated_clips", partitions_def=DAILY, description="No paid call is in doubt.")
def no_unknown_jobs(context: dg.AssetCheckExecutionContext, ledger: dg.ResourceParam[Ledger]) -> dg.AssetCheckResult:
    """Jobs of the day whose submit may have been accepted without an answer; each needs a person."""
    day = day_of(context.partition_key)
    unknown = [job for job in ledger.jobs.in_state(JobState.UNKNOWN) if job.day == day]
    return dg.AssetCheckResult(
        passed=not unknown,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "unknown": len(unknown),
            "jobs": listed((job.key[:16] for job in unknown), separator=", ") or "none",
        },
    )


@dg.asset_check(
    asset="generated_clips",
    partitions_def=DAILY,
    description="The clips' bills add up to the ledger's settled spend.",
)
def bills_match_the_ledger(
    context: dg.AssetCheckExecutionContext,
    ledger: dg.ResourceParam[Ledger],
    generated_clips: list[GeneratedClip],
) -> dg.AssetCheckResult:
    """Compares the table with all of the day's spend lines, which are written apart from it."""
    costs = ledger.spend.by_clip(day_of(context.partition_key))
    in_table = sum(clip.billed_usd for clip in generated_clips)
    in_ledger = sum(
        usd
        for lines in costs.values()
        for category, usd in lines.items()
        if category in (SpendCategory.GENERATION, SpendCategory.RETRY)
    )
    return dg.AssetCheckResult(
        passed=in_table == in_ledger,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"table_usd": float(in_table), "ledger_usd": float(in_ledger)},
    )


ALL = [no_unknown_jobs, bills_match_the_ledger]
