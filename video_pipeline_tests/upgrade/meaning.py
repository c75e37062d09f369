"""What a ledger says, in words that no release changes: kept beside a release's dump, read again after the upgrade.

Only the ledger's public functions are used, and no column: a migration may store the same facts otherwise.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from video_pipeline.defs.external import editorial_guidance_materialization
from video_pipeline.feedback import routing_state
from video_pipeline.ledger import Job, JobState, Ledger, PublicationState
from video_pipeline.policy import ScoringPolicy


def meaning_of(ledger: Ledger, days: Sequence[date], scoring: ScoringPolicy) -> dict[str, Any]:
    """Everything that the ledger knows of `days` and what is in force, as plain JSON."""
    jobs = ledger.jobs.in_state(*JobState)
    publications = [row for state in PublicationState for row in ledger.publications.in_state(state)]
    state = routing_state(ledger, scoring)
    spent_on = sorted({job.created_at.astimezone(UTC).date() for job in jobs if job.created_at})
    said = {
        "jobs": {job.key: _job(ledger, job) for job in jobs},
        "publications": {
            row.key: {
                "day": row.day,
                "clip": row.clip_id,
                "platform": row.platform,
                "state": row.state,
                "title": row.document["title"],
                "media": [row.media_key, row.media_sha256],
                "remote": [row.remote_id, row.url, row.published_at],
                "reason": row.reason,
            }
            for row in publications
        },
        "reviews": [
            [review.clip_id, review.stage, review.reason, review.state, review.decided_by, review.reason_code]
            for day in days
            for review in ledger.reviews.of_day(day)
        ],
        "money": {
            "by_clip": {str(day): ledger.spend.by_clip(day) for day in days},
            # Reservations too; a job may be reserved after midnight and so count against the next day.
            "committed": sum(
                (ledger.spend.committed_usd(on) for day in spent_on for on in (day, day + timedelta(days=1))),
                Decimal(0),
            ),
            "billed": [
                [job.provider_job_id, job.billed_usd]
                for job in ledger.jobs.billed_between(
                    datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
                )
            ],
        },
        "in_force": {
            "frozen": sorted(state.frozen),
            "demoted": sorted(state.demoted),
            "promoted": sorted(state.promoted),
            "acceptance": state.acceptance,
            "affinity": state.affinity,
            "guidance": editorial_guidance_materialization(ledger).metadata["preferred"].value,
        },
        "tiers": {
            name: [row.state, row.by, row.day, row.evidence] for name, row in ledger.governance.tier_states().items()
        },
        "standings": {
            name: [[row.state, row.by, row.day, row.evidence] for row in rows]
            for name, rows in ledger.governance.standing_history().items()
        },
        "inbox": sorted([name, sha256, day] for (name, sha256), day in ledger.intake.claimed_files().items()),
        "quarantine": [
            [row["source"], row["reasons"], row["raw"]] for day in days for row in ledger.intake.quarantined(day)
        ],
        "briefs": {str(day): ledger.intake.bought_briefs(day) for day in days},
        "metrics": {str(day): ledger.publications.metrics_on(day) for day in days},
        "alerts": {row["cause"]: [row["severity"], row["title"], row["count"]] for row in ledger.alerts.latest(1000)},
    }
    return json.loads(json.dumps(said, default=_plain, sort_keys=True))


def _job(ledger: Ledger, job: Job) -> dict[str, Any]:
    return {
        "kind": job.kind,
        "day": job.day,
        "clip": [job.clip_id, job.shot, job.shot_sha256],
        "attempt": [job.attempt, job.strategy, job.reason],
        "model": [job.tier, job.provider, job.model, job.model_version],
        "prompt": job.order.prompt,
        "seconds": job.order.duration_s,
        "state": job.state,
        "trail": [event["to_state"] for event in ledger.jobs.events(job.key)],
        "failure": [job.failure_kind, job.failure_reason, job.retry_allowed],
        "receipt": job.provider_job_id,
        "media": [job.media_url, job.media_key, job.media_sha256, job.media_bytes],
        "passed": (job.verdict or {}).get("passed"),
        "usd": [job.expected_usd, job.billed_usd, job.saved_usd],
        "billed_s": job.billed_s,
        "cached_from": job.cached_from,
        "times": [job.created_at, job.submitted_at, job.finished_at],
    }


def _plain(value: Any) -> Any:
    """Money without trailing zeros, times in UTC."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value)} is not part of a ledger's meaning")
