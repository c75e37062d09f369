"""Who is given each clip of a day: the best value, or another model within the day's budgets, so that one learns.

Pure: a day's storyboards, the state in force, and what the day's other clips have used of the budgets come in, the
decisions go out. Chance is a hash of brief, day and purpose, and the clips come in the order of a hash, so that the
same question always has the same answer. A clip is drawn for as a whole, so that one model makes all of it.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_UP, Decimal

from video_pipeline.briefs import Storyboard
from video_pipeline.policy import ExplorationPolicy, RoutingThresholds
from video_pipeline.routing.catalogue import Catalogue, Model, Tier
from video_pipeline.routing.decision import Decision, Draw, Given, Purpose
from video_pipeline.routing.options import Option, Question, Serving
from video_pipeline.routing.state import RoutingState
from video_pipeline.routing.tree import decide_by, weigh
from video_pipeline.routing.value import Option as Choice
from video_pipeline.routing.value import chances_of_best, drawn, point_of, weights

_MICRO_USD = Decimal("0.000001")
# Of a clip that no demoted model might have had: the chance that it is left for others, and who is given it.
_OTHERS: tuple[float, "Sequence[Given] | None"] = (1.0, None)


@dataclass
class Tally:
    """What clips of one production day have used of its budgets; money in US dollars.

    `served` counts the clips that each model was given, `probation` those of them that a demoted one was given to
    prove itself on. `learn_usd` and `probation_usd` are what was spent more than with the best value.
    """

    clips: int = 0
    expected_usd: float = 0.0
    learn_usd: Decimal = Decimal(0)
    probation_usd: Decimal = Decimal(0)
    trials: int = 0
    served: Counter[str] = field(default_factory=Counter[str])
    probation: Counter[str] = field(default_factory=Counter[str])

    def note(self, decisions: Sequence[Decision]) -> None:
        """Add one clip. A model that another stands in for was given it, too."""
        self.clips += 1
        self.expected_usd += sum(decision.accepted_usd for decision in decisions)
        given = {decision.model for decision in decisions if decision.model}
        given |= {decision.fell_over.model for decision in decisions if decision.fell_over}
        self.served.update(given)
        draws = [decision.draw for decision in decisions if decision.draw]
        for draw in draws:
            if draw.purpose is Purpose.PROBATION:
                self.probation_usd += draw.extra_usd
            else:
                self.learn_usd += draw.extra_usd
        self.trials += any(draw.purpose is Purpose.TRIAL for draw in draws)
        self.probation.update({model for draw in draws if draw.purpose is Purpose.PROBATION for model in draw.shares})


@dataclass(frozen=True)
class _Clip:
    """A clip to assign: the state that it is planned under, what is asked for its shots, and who would serve them."""

    board: Storyboard
    state: RoutingState
    asked: tuple[Question, ...]
    servings: tuple[Serving, ...]

    @property
    def clip_id(self) -> str:
        return self.board.clip_id

    @property
    def tier(self) -> Tier:
        return self.asked[0].tier

    @property
    def frozen(self) -> bool:
        return self.tier.value in self.state.frozen

    @property
    def free(self) -> bool:
        """Whether it may be given to another model: none of its shots is held, complex, or a pinned model's."""
        return not self.frozen and all(one.chosen is not None and not one.fixed for one in self.servings)

    @property
    def usual(self) -> list[Option]:
        """Who serves each shot without a draw; of shots that somebody can serve."""
        return [one.chosen for one in self.servings if one.chosen is not None]

    def point(self, purpose: str) -> float:
        return point_of(self.board.day, self.board.brief.brief_id, purpose)

    def all_by(self, model: str, among: Callable[[Serving], Iterable[Option]]) -> list[Option]:
        """The model's options for every shot, of those `among` the shot's; empty unless it can serve all."""
        found = [next((one for one in among(each) if one.model.model == model), None) for each in self.servings]
        able = [one for one in found if one is not None]
        return able if len(able) == len(found) else []

    def extras(self, options: Sequence[Option]) -> list[Decimal]:
        """What each shot is expected to cost more with `options` than with its usual one; never under 0."""
        return [_extra(option, usual) for option, usual in zip(options, self.usual, strict=True)]


def assign(
    boards: Sequence[Storyboard],
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state_of: Callable[[Storyboard], RoutingState],
    rules: ExplorationPolicy,
    tally: Tally,
    begun: Mapping[str, Sequence[Decision]],
) -> dict[str, tuple[Decision, ...]]:
    """The decisions on each clip, by clip id, in the order of its shots.

    All `boards` are of one day. `tally` holds what the day's other clips have used, and is brought up to date.
    `begun` maps a clip to the decisions on those of its shots that money was spent on; the tally holds these, too.
    """
    return _Day(boards, catalogue, policy, state_of, rules, tally, begun).decisions()


class _Day:
    def __init__(
        self,
        boards: Sequence[Storyboard],
        catalogue: Catalogue,
        policy: RoutingThresholds,
        state_of: Callable[[Storyboard], RoutingState],
        rules: ExplorationPolicy,
        tally: Tally,
        begun: Mapping[str, Sequence[Decision]],
    ) -> None:
        self._catalogue, self._policy = catalogue, policy
        self._rules, self._tally, self._begun = rules, tally, begun
        ordered = sorted(boards, key=lambda board: hashlib.sha256(board.clip_id.encode()).digest())
        self._clips = [self._clip(board, state_of(board)) for board in ordered]
        usual_usd = sum(option.accepted_usd for clip in self._clips for option in clip.usual)
        share = Decimal(str(self._rules.share_of_day * (tally.expected_usd + usual_usd)))
        self._learn_usd = min(self._rules.usd_a_day, share)

    def decisions(self) -> dict[str, tuple[Decision, ...]]:
        proving = self._probation()
        found: dict[str, tuple[Decision, ...]] = {}
        for clip in self._clips:
            chance, given = proving.get(clip.clip_id, (1.0, None))
            if given is None:
                clip, given = self._given(clip, chance)
            decisions = self._decide(clip, given)
            if clip.clip_id not in self._begun:
                self._tally.note(decisions)
            found[clip.clip_id] = decisions
        return found

    def _clip(self, board: Storyboard, state: RoutingState) -> _Clip:
        asked = tuple(Question.of(shot, board.directed, self._catalogue, self._policy, state) for shot in board.shots)
        return _Clip(board, state, asked, tuple(weigh(one) for one in asked))

    def _decide(self, clip: _Clip, given: Sequence[Given]) -> tuple[Decision, ...]:
        return tuple(
            decide_by(serving, replace(asked, given=one))
            for serving, asked, one in zip(clip.servings, clip.asked, given, strict=True)
        )

    def _is_known(self, model: Model, state: RoutingState) -> bool:
        belief = state.belief_in(model)
        return belief is not None and belief.clips >= self._rules.known_clips

    def _has_had_its_clips(self, model: Model, state: RoutingState) -> bool:
        return not self._is_known(model, state) and self._tally.served[model.model] >= self._rules.new_clips_a_day

    def _given(self, clip: _Clip, chance: float) -> tuple[_Clip, Sequence[Given]]:
        """Who is given a clip that no demoted model proves itself on, which was so with probability `chance`.

        And the clip as it is without those that are kept back.
        """
        if clip.clip_id in self._begun:
            return clip, self._as_begun(clip)
        if clip.frozen:
            return clip, [Given()] * len(clip.servings)
        kept_back = [self._kept_back(serving, clip.state) for serving in clip.servings]
        plain = [Given(kept_back=back) for back in kept_back]
        servings = tuple(
            weigh(replace(asked, given=given)) if given.kept_back else serving
            for serving, asked, given in zip(clip.servings, clip.asked, plain, strict=True)
        )
        clip = replace(clip, servings=servings)
        if not clip.free:
            return clip, plain
        tried, chance = self._trial(clip, chance)
        return clip, tried or self._drawn(clip, chance, plain)

    def _as_begun(self, clip: _Clip) -> Sequence[Given]:
        """The rest of a clip that was begun goes to the model that it was given to, where that costs no more."""
        first = self._begun[clip.clip_id][0]
        model = first.model or ""
        options = clip.all_by(model, _open_to)
        if first.draw is None or first.draw.purpose is Purpose.VALUE or not options or any(clip.extras(options)):
            return [Given()] * len(clip.servings)
        draw = replace(first.draw, extra_usd=Decimal(0))
        return [Given(model, draw, first.chance)] * len(clip.servings)

    def _kept_back(self, serving: Serving, state: RoutingState) -> dict[str, str]:
        """The new models that have had their clips of the day and that a known one can take the place of."""
        first = serving.chosen
        if first is None or not self._has_had_its_clips(first.model, state):
            return {}
        known = [one for one in serving.own if self._is_known(one.model, state)]
        near = [one for one in serving.dearer if one.value_usd <= first.value_usd * self._rules.dearest]
        if not known and not any(self._is_known(one.model, state) for one in near):
            return {}
        had = f"is new and has had its {self._rules.new_clips_a_day} clips of the day"
        return {
            one.model.model: f"{one.model.model} {had}"
            for one in (*serving.own, *serving.dearer)
            if self._has_had_its_clips(one.model, state)
        }

    def _trial(self, clip: _Clip, chance: float) -> tuple[Sequence[Given], float]:
        """A candidate for the tier, where the clip is drawn for one; and the chance that is left for the others."""
        names = sorted({one.model.model for serving in clip.servings for one in serving.candidates})
        able = {name: options for name in names if (options := clip.all_by(name, lambda one: one.candidates))}
        able = {name: options for name, options in able.items() if self._affords(sum(clip.extras(options)))}
        share = self._rules.trial_share
        if not able or share == 0 or self._tally.trials >= self._rules.trials_a_day:
            return [], chance
        shares = dict.fromkeys(able, share / len(able)) | {clip.usual[0].model.model: 1 - share}
        point = clip.point("trial")
        name = drawn(shares, point)
        if name not in able:
            return [], chance * (1 - share)
        draw = Draw(purpose=Purpose.TRIAL, shares=shares, point=point, state=clip.state.version)
        return self._to(clip, able[name], draw, [chance * shares[name]] * len(able[name])), chance

    def _drawn(self, clip: _Clip, chance: float, plain: Sequence[Given]) -> Sequence[Given]:
        """The best value, or a model that is drawn to learn of it; nothing is drawn while none is known."""
        options = {
            name: found
            for name in sorted({one.model.model for one in _open_to(clip.servings[0])})
            if (found := clip.all_by(name, _open_to)) and not any(name in one.kept_back for one in plain)
        }
        if not any(self._is_known(found[0].model, clip.state) for found in options.values()):
            return plain
        choices = [self._choice(clip, name, found) for name, found in options.items()]
        usual = clip.usual
        first = usual[0].model.model
        if {one.model.model for one in usual} != {first} or first not in options:
            first = min(choices, key=lambda one: (one.usd, one.name)).name
        extras = {name: clip.extras(found) for name, found in options.items()}
        shares = weights(choices, floor=self._rules.floor, dearest=self._rules.dearest)
        near = {name for name, share in shares.items() if share > 0}
        for name in set(shares) - {first}:
            # What may not be drawn now leaves its share to the best value.
            model = options[name][0].model
            if self._has_had_its_clips(model, clip.state) or not self._affords(sum(extras[name])):
                shares[first] += shares.pop(name)
        point = clip.point(clip.tier)
        name = drawn(shares, point)
        sure = chances_of_best([one for one in choices if one.name in near]).get(name, 0.0)
        purpose = Purpose.VALUE if name == first else Purpose.LEARN
        draw = Draw(purpose=purpose, shares=shares, point=point, sure=sure, state=clip.state.version)
        if name == first:
            return [
                replace(one, draw=draw, chance=chance * (shares[first] + (mine != first) * shares.get(mine, 0.0)))
                for one, mine in zip(plain, (one.model.model for one in usual), strict=True)
            ]
        chances = [shares[name] + (one.model.model == name) * shares[first] for one in usual]
        return self._to(clip, options[name], draw, [chance * each for each in chances])

    def _choice(self, clip: _Clip, name: str, options: Sequence[Option]) -> Choice:
        """The clip as a whole with one model: what it costs, and how sure that is."""
        costs: list[float] = []
        variance = 0.0
        for option, serving in zip(options, clip.servings, strict=True):
            # Between tiers nothing is shifted by what a style has liked.
            cost = option.value_usd if option in serving.dearer else option.cost_usd
            costs.append(cost)
            variance += cost * option.log_sd**2
        return Choice(name, sum(costs), math.sqrt(variance / sum(costs)))

    def _to(self, clip: _Clip, options: Sequence[Option], draw: Draw, chances: Sequence[float]) -> Sequence[Given]:
        """Every shot of the clip to one model."""
        return [
            Given(option.model.model, replace(draw, extra_usd=extra), chance)
            for option, extra, chance in zip(options, clip.extras(options), chances, strict=True)
        ]

    def _affords(self, usd: Decimal | int) -> bool:
        return self._tally.learn_usd + usd <= self._learn_usd

    def _probation(self) -> dict[str, tuple[float, Sequence[Given] | None]]:
        """The clips that demoted models prove themselves on; of others that might have been the chance that not."""
        found: dict[str, tuple[float, Sequence[Given] | None]] = {}
        clips = [clip for clip in self._clips if clip.free and clip.clip_id not in self._begun]
        fallen = {
            model
            for clip in clips
            for model in clip.state.out_of_quarantine(clip.board.day, self._rules.quarantine_days)
        }
        used, spent_usd = self._tally.probation.total(), self._tally.probation_usd
        for model in sorted(fallen, key=lambda name: (point_of(clips[0].board.day, name, "probation"), name)):
            able = {
                clip.clip_id: (clip, options)
                for clip in clips
                if found.get(clip.clip_id, _OTHERS)[1] is None
                and model in clip.state.out_of_quarantine(clip.board.day, self._rules.quarantine_days)
                and (options := clip.all_by(model, lambda serving: serving.demoted))
            }
            own = {clip_id for clip_id, (clip, options) in able.items() if clip.tier is options[0].model.tier}
            quota = min(
                self._rules.probation_clips_a_day - self._tally.probation[model], self._probation_clips(clips) - used
            )
            # Its own tier's clips by chance; where these are too few, those of others that cost least.
            ranked = sorted(
                able.values(),
                key=lambda one: (
                    one[0].clip_id not in own,
                    Decimal(0) if one[0].clip_id in own else sum(one[0].extras(one[1])),
                    one[0].point(f"probation {model}"),
                ),
            )
            picked: list[tuple[_Clip, Sequence[Option]]] = []
            for clip, options in ranked:
                extra_usd = sum(clip.extras(options))
                if len(picked) < quota and spent_usd + extra_usd <= self._rules.probation_usd_a_day:
                    picked.append((clip, options))
                    spent_usd += extra_usd
            used += len(picked)
            chance = sum(clip.clip_id in own for clip, _ in picked) / len(own) if own else 0.0
            found |= {clip_id: (found.get(clip_id, _OTHERS)[0] * (1 - chance), None) for clip_id in own}
            for clip, options in picked:
                its_own = chance if clip.clip_id in own else 1.0
                draw = Draw(
                    purpose=Purpose.PROBATION,
                    shares={model: its_own},
                    point=clip.point(f"probation {model}"),
                    state=clip.state.version,
                )
                found[clip.clip_id] = (1.0, self._to(clip, options, draw, [its_own] * len(options)))
        return found

    def _probation_clips(self, clips: Sequence[_Clip]) -> int:
        """How many clips of the day demoted models may have between them; the fraction of one by chance."""
        share = self._rules.probation_share * (self._tally.clips + len(self._clips))
        return math.floor(share + point_of(clips[0].board.day, "", "probation"))


def _open_to(serving: Serving) -> Iterable[Option]:
    return (*serving.own, *serving.dearer)


def _extra(option: Option, usual: Option) -> Decimal:
    more = max(0.0, option.value_usd - usual.value_usd, option.accepted_usd - usual.accepted_usd)
    return Decimal(str(more)).quantize(_MICRO_USD, rounding=ROUND_UP)
