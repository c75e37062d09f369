"""The record of past days, read a day at a time from the ledger and the tables; nothing is written."""

from collections.abc import Iterator
from datetime import date, timedelta

from video_pipeline.feedback.facts import ClipFact
from video_pipeline.feedback.standings import routing_state
from video_pipeline.feedback.what_if import RecordedDay
from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import ClipPlan, Decision
from video_pipeline.storage import ObjectStore, read_partition


def recorded_days(
    ledger: Ledger, store: ObjectStore, policy: Policy, *, first: date, last: date
) -> Iterator[RecordedDay]:
    """Each day from `first` to `last`, both among them; a day that was never planned has no plans."""
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        plans = read_partition(store, ClipPlan, "generation_plan", day.isoformat())
        facts = read_partition(store, ClipFact, "clip_facts", day.isoformat()) if plans else []
        decided = ledger.governance.decided([plan.clip_id for plan in plans]) if plans else {}
        yield RecordedDay(
            day=day,
            plans=plans,
            decisions={key: Decision.model_validate(document) for key, document in decided.items()},
            jobs=ledger.jobs.of_day(day) if plans else (),
            facts={fact.clip_id: fact for fact in facts},
            state=routing_state(ledger, policy.scoring, for_day=day),
        )
