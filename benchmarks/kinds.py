"""What the kind of a shot changes with the packaged catalogue of real models: `python -m benchmarks.kinds`.

Plans a few briefs at list prices, buys nothing, and prints a Markdown table: docs/routing.md has it. With nothing
measured only the catalogue's priors tell; `--measured` lets each model that would serve an ordinary shot have lost
half of its tries at each kind that is not.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from video_pipeline.briefs import Brief, ShotKind, storyboard_of
from video_pipeline.policy import load_policy
from video_pipeline.routing import Belief, Catalogue, Decision, RoutingState, load_catalogue, plan_clip

_DAY = date(2026, 11, 27)
_PROMPTS = (
    "A red scarf in the snow",
    "Close-up of a woman smiling through tears",
    "Ein Hund rennt durch eine Pfütze",
    "Vista aérea de un puerto al amanecer",
    "香水瓶特写，白色背景",
)
# Dial, complexity, sound.
_ASKED = (
    ("draft", 0.4, False),
    ("draft", 0.4, True),
    ("standard", 0.5, False),
    ("standard", 0.5, True),
    ("standard", 0.8, False),
    ("standard", 0.8, True),
    ("premium", 0.8, False),
    ("premium", 0.8, True),
)


@dataclass(frozen=True)
class Row:
    """One brief's shot: what was asked, its kind, and the decision on it."""

    asked: str
    kind: ShotKind
    decision: Decision

    @property
    def cells(self) -> tuple[str, ...]:
        usual = self.decision.by_kind
        served = (f"{self.decision.model}", f"${self.decision.attempt_usd:.4f}")
        if usual is None:
            return (self.asked, self.kind.value, *served, "", "", "", "")
        return (
            self.asked,
            self.kind.value,
            *served,
            usual.model,
            f"{self.decision.attempt_usd - usual.usd:+.4f}",
            f"{usual.fidelity:.2f} / {usual.usual_fidelity:.2f}",
            f"{self.decision.acceptance:.0%} / {usual.acceptance:.0%}",
        )


def rows(catalogue: Catalogue, *, measured: bool = False) -> list[Row]:
    """Every prompt with everything that is asked of it, five seconds long."""
    found: list[Row] = []
    for dial, complexity, sound in _ASKED:
        state = RoutingState()
        for prompt in _PROMPTS:
            kind, decision = _decided(prompt, dial, complexity, sound, catalogue, state)
            if measured and kind is ShotKind.DEFAULT:
                state = _half_lost(catalogue, decision)
            found.append(Row(f"{dial}, {complexity:g}{', sound' if sound else ''}", kind, decision))
    return found


def _decided(
    prompt: str, dial: str, complexity: float, sound: bool, catalogue: Catalogue, state: RoutingState
) -> tuple[ShotKind, Decision]:
    brief = Brief.model_validate(
        {
            "brief_id": "a-brief",
            "title": "A title",
            "platforms": ["youtube_shorts"],
            "prompt": prompt,
            "duration_s": 5,
            "quality": dial,
            "visual_complexity": complexity,
            "native_audio": sound,
        }
    )
    board = storyboard_of(brief, _DAY, cap_s=15)
    plan = plan_clip(board, catalogue, load_policy().routing, state, max_attempts=7)
    return board.shots[0].kind, plan.decisions[0]


def _half_lost(catalogue: Catalogue, usual: Decision) -> RoutingState:
    """What is in force once the model of an ordinary shot has lost half of 200 tries at each other kind."""
    model = catalogue.named(usual.model or "")
    others = {kind.value: (100.0, 100.0) for kind in ShotKind if kind is not ShotKind.DEFAULT}
    accepted = 200 * model.acceptance_prior
    belief = Belief(
        version=model.version, accepted=accepted, lost=200 - accepted, clips=200, worth_sd=0.05, kinds=others
    )
    return RoutingState(beliefs={model.model: belief})


def table(found: Sequence[Row]) -> str:
    """The rows in Markdown; those whose kind has changed nothing are counted below."""
    changed = [row for row in found if row.decision.by_kind]
    other = sum(row.kind is not ShotKind.DEFAULT for row in found) - len(changed)
    lines = [
        "| asked | kind | model | an attempt | an ordinary shot's | $ more | fidelity | accepted |",
        "|---|---|---|---|---|---|---|---|",
        *("| " + " | ".join(row.cells) + " |" for row in changed),
        "",
        f"{len(changed)} of {len(changed) + other} shots that are no ordinary ones go to another model.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measured", action="store_true", help="as if the ledger had measured the usual models")
    print(table(rows(load_catalogue(sandbox=False), measured=parser.parse_args().measured)))
