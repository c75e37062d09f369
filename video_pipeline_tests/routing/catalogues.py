"""Catalogues of models that nobody sells, and what may be in force over a catalogue: strategies."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import hypothesis.strategies as st

import video_pipeline.routing
from video_pipeline.briefs import ShotKind
from video_pipeline.routing import Belief, Catalogue, Model, Promotion, RoutingState, Tier

ONE_VENDOR = Path(video_pipeline.routing.__file__).with_name("catalogue_sandbox.yaml")
"""The sandbox's models behind fal's wire alone: each of a day's purchases is then in one vendor's books."""

_CENTS = st.integers(1, 40).map(lambda cents: f"{cents / 100:.2f}")


@st.composite
def _resolutions(draw: st.DrawFn) -> list[dict[str, Any]]:
    sizes = draw(st.lists(st.sampled_from([90, 108, 180, 480, 720, 1080]), min_size=1, max_size=3, unique=True))
    audio = draw(st.booleans())
    found = []
    for size in sizes:
        silent, more = draw(st.tuples(_CENTS, st.integers(0, 20)))
        heard = f"{float(silent) + more / 100:.2f}" if audio else None
        found.append({"name": f"{size}p", "short_side": size, "usd_per_s": silent, "usd_per_s_audio": heard})
    return found


_DURATIONS = st.one_of(
    st.fixed_dictionaries({"min_s": st.integers(1, 8), "max_s": st.integers(8, 15)}),
    st.lists(st.integers(1, 15), min_size=1, max_size=3, unique=True).map(
        lambda lengths: {"max_s": max(lengths), "allowed_s": sorted(lengths)}
    ),
)


def _model(tier: Tier) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "version": st.just("1"),
            "provider": st.just("fal"),
            "tier": st.just(tier),
            "wire": st.just({}),
            "durations": _DURATIONS,
            "resolutions": _resolutions(),
            "fidelity": st.fixed_dictionaries(
                {kind: st.integers(0, 20).map(lambda twentieths: twentieths / 20) for kind in ShotKind}
            ),
            "acceptance_prior": st.integers(5, 100).map(lambda hundredths: hundredths / 100),
            "price_source": st.just("nobody's"),
            "price_checked_on": st.just(date(2026, 11, 21)),
        }
    )


RANDOM_CATALOGUES = st.tuples(
    *(st.lists(_model(tier), min_size=tier is not Tier.CINEMATIC, max_size=3) for tier in Tier)
).map(
    lambda tiers: Catalogue.model_validate(
        {
            "name": "random",
            "anchor": None,
            "models": [
                model | {"model": f"{model['tier']}-{number}"}
                for models in tiers
                for number, model in enumerate(models)
            ],
        }
    )
)


def beliefs_of(models: Sequence[Model]) -> st.SearchStrategy[dict[str, Belief]]:
    """What may be believed of some of the models: of the catalogue's version or of an earlier one."""
    counts = st.integers(1, 200).map(lambda halves: halves / 2)
    return st.fixed_dictionaries(
        {},
        optional={
            model.model: st.builds(
                Belief,
                version=st.sampled_from([model.version, "an earlier one"]),
                accepted=counts,
                lost=counts,
                worth=st.integers(50, 150).map(lambda hundredths: hundredths / 100),
                worth_sd=st.integers(1, 30).map(lambda hundredths: hundredths / 100),
                clips=st.integers(0, 40),
                kinds=st.dictionaries(st.sampled_from([kind.value for kind in ShotKind]), st.tuples(counts, counts)),
            )
            for model in models
        },
    )


@st.composite
def states_of(draw: st.DrawFn, *catalogues: Catalogue) -> RoutingState:
    """What may be in force over the models of `catalogues`: a model has one standing."""
    models = [model for catalogue in catalogues for model in catalogue.models]
    names = st.sampled_from([model.model for model in models])
    demoted = draw(st.frozensets(names))
    promotions = {
        model.model: st.builds(
            Promotion,
            tier=st.just(model.tier.value),
            version=st.just(model.version),
            kinds=st.frozensets(st.sampled_from([kind.value for kind in ShotKind])),
            reason=st.just("as good as its betters"),
        )
        for model in models
        if model.model not in demoted
    }
    return RoutingState(
        frozen=draw(st.frozensets(st.sampled_from([tier.value for tier in Tier]), max_size=2)),
        demoted=demoted,
        promoted=draw(st.fixed_dictionaries({}, optional=promotions)),
        acceptance=draw(st.dictionaries(names, st.floats(0, 1))),
        affinity=draw(st.dictionaries(st.sampled_from(["wide", "warm"]), st.dictionaries(names, st.floats(-1, 1)))),
        beliefs=draw(beliefs_of(models)),
    )
