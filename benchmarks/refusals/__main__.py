"""How many of a thousand briefs that are written to be refused are delivered without a person (G2.2).

The ladder is the product's own; the rules are the sandbox's, read from four files, one of which nothing was tuned
on. A prompt or a start image that is refused costs nothing, an output that is refused is paid for. All models have
the vendor's rules, so that another one is of no help. Prints tables and writes JSON; fails when fewer than 98 % of
those whose B-roll was planned come through. Run `python -m benchmarks.refusals`.
"""

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.refusals.briefs import DAY, LANGUAGES, LENGTH_S, Written, kept, written
from video_pipeline.briefs import BrollPlanner
from video_pipeline.generation.ladder import LADDER, Attempt, Done, Strategy, next_step
from video_pipeline.ledger import FailureKind, Job, JobKind, JobState
from video_pipeline.orders import Ending, Orientation, RenderOrder
from video_pipeline.policy import GenerationPolicy, load_policy
from video_pipeline.sandbox.moderation import Moderation, Part

RULES = Path(__file__).parent / "rules"
SETS = ("faces", "people", "strict", "held_back")
# Five seconds at the sandbox's cheapest model of the standard tier, and a picture there.
_CLIP_USD = Decimal("0.11")
_PICTURE_USD = Decimal("0.003")
# [G2.2]
_PROMISED = 0.98
_MODELS = ("first", "second", "third", "fourth")


class Verdict(NamedTuple):
    """What a vendor says of an attempt; a clip that is refused when it is made has been paid for."""

    reason: str | None
    usd: Decimal
    ending: Ending | None = None


@dataclass
class Climb:
    """One brief against one vendor: how it ended, after how many refusals, by which strategy, for how much."""

    brief: Written
    attempts: int = 0
    strategy: Strategy | None = None
    prompt: str = ""
    usd: Decimal = Decimal(0)


@dataclass
class Row:
    """All briefs against one vendor's rules; counts are of briefs that it refuses as they are written."""

    rules: str
    seed: int
    planned_broll: bool
    refused: int = 0
    delivered: int = 0
    by_strategy: Counter[str] = field(default_factory=Counter[str])
    by_attempt: Counter[str] = field(default_factory=Counter[str])
    by_language: dict[str, float] = field(default_factory=dict[str, float])
    usd_a_rescued_clip: float = 0.0
    scene_nouns_kept: float = 0.0
    all_nouns_kept: float = 0.0

    @property
    def share(self) -> float:
        return self.delivered / self.refused if self.refused else 1.0


def judged(rules: Moderation, attempt: Attempt) -> Verdict:
    """The vendor's word on an attempt: on its prompt, on the picture that it starts from, and on what is made."""
    makes = "image" if attempt.kind is JobKind.IMAGE else "video"
    price = _PICTURE_USD if attempt.kind is JobKind.IMAGE else _CLIP_USD
    words = attempt.prompt
    looks = [(Part.PROMPT, words, Decimal(0))]
    if attempt.image is not None:
        shown = attempt.image.order.prompt
        looks.append((Part.START_IMAGE, shown, Decimal(0)))
        words = f"{words} {shown}"
    looks.append((Part.OUTPUT, words, price))
    for part, said, usd in looks:
        reason = rules.refusal(part, said, makes=makes, drawn_by=f"{makes} {said}")
        if reason:
            ending = Ending.OUTPUT_REFUSED if part is Part.OUTPUT else Ending.PROMPT_REFUSED
            return Verdict(reason, usd, ending)
    return Verdict(None, price)


def climbed(brief: Written, rules: Moderation, policy: GenerationPolicy) -> Climb:
    """What becomes of a brief when it is left to the ladder."""
    climb = Climb(brief)
    history: list[Job] = []
    while True:
        match next_step(brief.shot, history, policy, can_anchor=True):
            case Attempt() as attempt:
                verdict = judged(rules, attempt)
                history.append(_row(attempt, verdict))
                climb.usd += verdict.usd
            case Done(job):
                climb.strategy, climb.prompt = Strategy(job.strategy), job.order.prompt
                break
            case _:
                break
    climb.attempts = len({job.attempt for job in history})
    return climb


def _row(attempt: Attempt, verdict: Verdict) -> Job:
    """The ledger's row of an attempt."""
    order = RenderOrder(
        prompt=attempt.prompt,
        duration_s=0 if attempt.kind is JobKind.IMAGE else LENGTH_S,
        orientation=Orientation.PORTRAIT,
        start_image=attempt.image.media_url if attempt.image else None,
    )
    return Job(
        key=f"{attempt.number}-{attempt.kind}",
        kind=attempt.kind,
        day=DAY,
        clip_id="refused",
        shot=0,
        shot_sha256="",
        attempt=attempt.number,
        strategy=attempt.strategy,
        reason=attempt.reason,
        tier="production",
        provider="sandbox",
        model=next(model for model in _MODELS if model not in attempt.not_by),
        model_version="1",
        order=order,
        request={},
        request_sha256="",
        expected_usd=verdict.usd,
        state=JobState.FAILED if verdict.reason else JobState.ACCEPTED,
        run_id="benchmark",
        failure_kind=FailureKind.MODERATION if verdict.reason else None,
        failure_reason=verdict.reason,
        retry_allowed=False,
        ending=verdict.ending,
        media_url="https://media.example/still.png",
    )


def measured(name: str, briefs: Sequence[Written], policy: GenerationPolicy, *, seed: int, planned: bool) -> Row:
    """All briefs that the seed gave against one file of rules."""
    rules = Moderation(RULES / f"{name}.yaml")
    climbs = [climbed(brief, rules, policy) for brief in briefs]
    refused = [climb for climb in climbs if climb.strategy is not Strategy.ORIGINAL]
    through = [climb for climb in refused if climb.strategy is not None]
    row = Row(name, seed, planned, len(refused), len(through))
    row.by_strategy.update(climb.strategy.value for climb in through if climb.strategy)
    row.by_attempt.update(str(climb.attempts) for climb in through)
    for language in dict.fromkeys(climb.brief.language for climb in refused):
        of = [climb for climb in refused if climb.brief.language == language]
        row.by_language[language] = round(sum(climb.strategy is not None for climb in of) / len(of), 4)
    if through:
        row.usd_a_rescued_clip = round(float(sum(climb.usd for climb in refused) / len(through)), 4)
        scenes = [(kept(climb.brief.scene, climb.prompt), len(climb.brief.scene)) for climb in through]
        row.scene_nouns_kept = round(sum(one for one, _ in scenes) / sum(all_ for _, all_ in scenes), 4)
        people = sum(kept((climb.brief.person,), climb.prompt) for climb in through)
        whole = sum(all_ + 1 for _, all_ in scenes)
        row.all_nouns_kept = round((sum(one for one, _ in scenes) + people) / whole, 4)
    return row


def main() -> None:
    options = _options()
    policy = load_policy().generation.model_copy(update={"max_other_models": 0})
    rows: list[Row] = []
    planner = BrollPlanner(policy.remapping)
    for seed, planned in itertools.product(options.seed, (False, True)):
        briefs = written(options.briefs, seed, planner if planned else None)
        rows += [measured(name, briefs, policy, seed=seed, planned=planned) for name in SETS]
    _print(rows)
    if options.json is not None:
        options.json.write_text(json.dumps([_document(row) for row in rows], indent=1) + "\n")
    if short := [row.rules for row in rows if row.planned_broll and row.share < _PROMISED]:
        sys.exit(f"Fewer than {_PROMISED:.0%} are delivered without a person: {', '.join(short)}")


def _document(row: Row) -> dict[str, object]:
    return {**vars(row), "delivered_share": round(row.share, 4)}


def _print(rows: Sequence[Row]) -> None:
    table = Table(title="Refused briefs that are delivered without a person")
    for column in (
        *("rules", "seed", "B-roll", "refused", "delivered", *(strategy.value for strategy in LADDER)),
        *("2nd / 3rd / 4th attempt", "$ a rescued clip", "scene nouns kept", "all nouns kept"),
    ):
        table.add_column(column)
    for row in rows:
        by = row.by_strategy
        table.add_row(
            row.rules,
            str(row.seed),
            "planned" if row.planned_broll else "none",
            str(row.refused),
            f"{row.share:.1%}",
            *(str(by[strategy]) for strategy in LADDER),
            " / ".join(str(row.by_attempt[number]) for number in "234"),
            f"{row.usd_a_rescued_clip:.4f}",
            f"{row.scene_nouns_kept:.0%}",
            f"{row.all_nouns_kept:.0%}",
        )
    Console(width=160).print(table)
    languages = Table(title="By language")
    codes = [words.code for words in LANGUAGES]
    for column in ("rules", "seed", "B-roll", *codes):
        languages.add_column(column)
    for row in rows:
        shares = (f"{row.by_language[code]:.1%}" if code in row.by_language else "" for code in codes)
        languages.add_row(row.rules, str(row.seed), "planned" if row.planned_broll else "none", *shares)
    Console(width=160).print(languages)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--briefs", type=int, default=1000)
    parser.add_argument("--seed", type=int, nargs="+", default=[7, 11])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/refusals.json"))
    parser.add_argument("--quick", action="store_true", help="a hundred briefs, and no JSON")
    options = parser.parse_args()
    if options.quick:
        options.briefs, options.json = 100, None
    return options


if __name__ == "__main__":
    main()
