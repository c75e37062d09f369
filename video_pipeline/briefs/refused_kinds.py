"""Kinds of shots that were refused lately, by the ledger: B-roll is planned for more of them."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from video_pipeline.briefs.brief import ShotKind
from video_pipeline.briefs.broll import BrollPlanner
from video_pipeline.briefs.shot_kinds import kind_of
from video_pipeline.ledger import FirstAnswer, Ledger
from video_pipeline.policy import BrollPolicy, GenerationPolicy


def broll_planner(ledger: Ledger, policy: GenerationPolicy) -> BrollPlanner:
    """The planner of a policy, with what the ledger says of the last days."""
    since = datetime.now(UTC) - timedelta(days=policy.broll.trailing_days)
    return BrollPlanner(policy.remapping, refused_kinds(ledger.jobs.first_answers(since), policy.broll))


def refused_kinds(answers: Iterable[FirstAnswer], policy: BrollPolicy) -> dict[ShotKind, str]:
    """The kinds of shots that a model refuses too many of, each with a clause on the one that refuses the most.

    A shot's kind is read off the prompt that was sent.
    """
    asked: Counter[tuple[ShotKind, str]] = Counter()
    refused: Counter[tuple[ShotKind, str]] = Counter()
    for answer in answers:
        of = kind_of(answer.prompt), answer.model
        asked[of] += 1
        refused[of] += answer.refused
    found: dict[ShotKind, str] = {}
    for kind, model in sorted(asked, key=lambda one: (-refused[one] / asked[one], one)):
        shots, no = asked[kind, model], refused[kind, model]
        if shots >= policy.least_shots and no / shots >= policy.refused_share and kind not in found:
            found[kind] = f"{model} refused {no} of {shots} such shots ({kind}) in {policy.trailing_days} days"
    return found
