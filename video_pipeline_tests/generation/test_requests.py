"""A job's two hashes: what decides the picture is the cache's key, what names one purchase is the job's."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video_pipeline.briefs import Reference, UsedBible
from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.requests import build_job
from video_pipeline.generation.serving import can_anchor
from video_pipeline.ledger import Job, JobKind
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.policy import load_policy
from video_pipeline.routing import Catalogue, ReferencePictures, RoutingState, load_catalogue
from video_pipeline_tests.contract.orders import DAY, brief_of, job_of, plan_of

CATALOGUE, POLICY = load_catalogue(sandbox=True), load_policy()
PROMPT = "a harbour at dawn"


def job(prompt: str = PROMPT, *, number: int = 0, day: date = DAY, **brief: object) -> Job:
    attempt = Attempt(number, Strategy.ORIGINAL, prompt)
    return job_of(brief_of(prompt, **brief), CATALOGUE, POLICY, attempt=attempt, day=day)


def test_the_same_attempt_is_the_same_purchase() -> None:
    assert job() == job()


@pytest.mark.parametrize(
    "other",
    [
        job(brief_id="another-clip"),
        job(day=DAY + timedelta(days=1)),
        job(number=1),
        job(title="Another title", caption="another caption"),
    ],
    ids=["clip", "day", "attempt", "caption"],
)
def test_clip_attempt_and_caption_do_not_decide_the_picture(other: Job) -> None:
    assert other.request_sha256 == job().request_sha256


@pytest.mark.parametrize(
    "other",
    [job(brief_id="another-clip"), job(day=DAY + timedelta(days=1)), job(number=1)],
    ids=["clip", "day", "attempt"],
)
def test_clip_and_attempt_name_another_purchase(other: Job) -> None:
    assert other.key != job().key
    assert other.order.seed != job().order.seed


@pytest.mark.parametrize(
    "other",
    [
        job("a harbour at dusk"),
        job(duration_s=2),
        job(orientation="landscape"),
        job(quality="standard"),
        job(seed=7),
    ],
    ids=["one word", "length", "shape", "model", "seed"],
)
def test_what_decides_the_picture_changes_both_hashes(other: Job) -> None:
    assert other.request_sha256 != job().request_sha256
    assert other.key != job().key


def test_a_new_version_of_the_model_is_another_picture() -> None:
    models = tuple(model.model_copy(update={"version": "2"}) for model in CATALOGUE.models)
    newer = job_of(brief_of(PROMPT), CATALOGUE.model_copy(update={"models": models}), POLICY)
    assert newer.request_sha256 != job().request_sha256


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), unique=True, min_size=2, max_size=9))
def test_no_two_purchases_share_a_key_or_a_seed(which: list[tuple[str, int]]) -> None:
    jobs = [job(number=number, brief_id=name) for name, number in which]
    assert len({one.key for one in jobs}) == len(jobs)
    assert len({one.order.seed for one in jobs}) == len(jobs)
    assert len({one.request_sha256 for one in jobs}) == 1


def test_a_brief_may_fix_the_seed() -> None:
    assert job(seed=1234).order.seed == 1234


def test_a_clip_that_was_rejected_is_not_made_again_from_the_same_seed() -> None:
    assert job(seed=1234, number=1).order.seed != job(seed=1234).order.seed


def test_a_job_carries_what_the_ledger_needs_to_explain_it() -> None:
    made = job()
    assert (made.clip_id, made.shot, made.attempt, made.strategy) == (f"{DAY}/a-clip", 0, 0, "original")
    assert (made.tier, made.model, made.provider, made.requested_s) == ("preview", "sandbox/sprint", "fal", 1)
    assert made.expected_usd == CATALOGUE.named("sandbox/sprint").price.silent["108p"]
    assert made.order == RenderOrder(
        prompt=PROMPT, duration_s=1, orientation=Orientation.PORTRAIT, resolution="108p", seed=made.order.seed
    )


def test_a_picture_and_the_clip_from_it_are_two_purchases_at_two_prices() -> None:
    plan = plan_of(brief_of(PROMPT), CATALOGUE, POLICY)
    [decision] = plan.decisions
    assert can_anchor(plan, decision, [], CATALOGUE, POLICY.routing, RoutingState())
    still = Attempt(3, Strategy.IMAGE_ANCHORING, PROMPT, kind=JobKind.IMAGE)
    picture = build_job(plan, decision, still, CATALOGUE, run_id="a-run")
    assert (picture.model, picture.expected_usd) == ("sandbox/still", CATALOGUE.anchor_model.usd_per_image)
    assert (picture.order.resolution, picture.requested_s) == (None, 0)
    kept = replace(picture, media_url="https://media.example/still.png")
    moving = Attempt(3, Strategy.IMAGE_ANCHORING, PROMPT, image=kept)
    clip = build_job(plan, decision, moving, CATALOGUE, run_id="a-run")
    assert (clip.model, clip.order.start_image) == ("sandbox/sprint", kept.media_url)
    assert len({picture.key, clip.key, job(number=3).key}) == 3
    sprint, *others = CATALOGUE.models
    dearer = sprint.price.model_copy(update={"start_image_usd": Decimal("0.01")})
    catalogue = CATALOGUE.model_copy(update={"models": (sprint.model_copy(update={"price": dearer}), *others)})
    surcharged = build_job(plan, decision, moving, catalogue, run_id="a-run")
    plain = build_job(plan, decision, Attempt(0, Strategy.ORIGINAL, PROMPT), catalogue, run_id="a-run")
    assert (surcharged.expected_usd - clip.expected_usd, plain.expected_usd) == (Decimal("0.01"), clip.expected_usd)


def test_a_prompt_is_cut_to_what_the_model_takes_and_the_order_keeps_the_rest() -> None:
    first, *others = CATALOGUE.models
    catalogue = CATALOGUE.model_copy(update={"models": (first.model_copy(update={"prompt_limit": 100}), *others)})
    prompt = "A quay at dawn. " + "Slow waves and gulls over the water " * 5
    attempt = Attempt(0, Strategy.ORIGINAL, prompt)
    cut = job_of(brief_of(prompt), catalogue, POLICY, attempt=attempt)
    whole = job_of(brief_of(prompt), CATALOGUE, POLICY, attempt=attempt)
    assert len(cut.order.prompt) <= 100
    assert cut.order.asked == whole.order.prompt == prompt
    assert cut.request["arguments"]["prompt"] == cut.order.prompt
    assert "left_out" not in whole.order.document()


def taking_pictures() -> Catalogue:
    first, *others = CATALOGUE.models
    takes = ReferencePictures(most=2, max_s=5, usd_each=Decimal("0.001"))
    wire = first.wire | {"references_field": "reference_image_urls"}
    return CATALOGUE.model_copy(
        update={"models": (first.model_copy(update={"references": takes, "wire": wire}), *others)}
    )


def test_reference_pictures_go_with_what_they_show_and_count_in_what_decides_the_picture() -> None:
    first, catalogue = CATALOGUE.models[0], taking_pictures()
    keys = ("references/a.jpg", "references/b.jpg", "references/c.jpg")
    brief = brief_of(PROMPT, broll=["a red buoy"], quality="draft")
    plan = plan_of(brief, catalogue, POLICY, references=keys)
    [decision] = plan.decisions
    made = build_job(plan, decision, Attempt(0, Strategy.ORIGINAL, PROMPT), catalogue, run_id="a-run")
    assert made.model == first.model
    assert made.order.references == keys[:2]
    assert made.expected_usd == first.price.silent["108p"] + Decimal("0.002")
    assert made.request_sha256 != job().request_sha256
    assert decision.reasons[-1] == "2 of the 3 reference pictures of mara go with it, as sandbox/sprint takes no more"
    broll = build_job(plan, decision, Attempt(1, Strategy.SHOT_SUBSTITUTION, "a red buoy"), catalogue, run_id="a-run")
    assert (broll.order.references, broll.expected_usd) == ((), first.price.silent["108p"])
    kept = replace(made, media_url="https://media.example/still.png")
    moving = Attempt(2, Strategy.IMAGE_ANCHORING, PROMPT, image=kept)
    moved = build_job(plan, decision, moving, catalogue, run_id="a-run")
    assert (moved.order.references, moved.expected_usd) == ((), first.price.silent["108p"])


def test_with_b_roll_go_pictures_of_the_scene_and_none_of_somebody_of_its_name() -> None:
    catalogue = taking_pictures()
    plan = plan_of(brief_of(PROMPT, broll=["a red buoy"], quality="draft"), catalogue, POLICY)
    [shot] = plan.storyboard.shots
    shown = tuple(
        Reference(of="harbour", key=f"references/{kind}.jpg", kind=kind) for kind in ("characters", "scenes")
    )
    used = (UsedBible(kind="scenes", id="harbour", version="1"),)
    shots = (shot.model_copy(update={"references": shown, "bibles": used}),)
    plan = plan.model_copy(update={"storyboard": plan.storyboard.model_copy(update={"shots": shots})})
    attempt = Attempt(1, Strategy.SHOT_SUBSTITUTION, "a red buoy")
    made = build_job(plan, plan.decisions[0], attempt, catalogue, run_id="a-run")
    assert made.order.references == ("references/scenes.jpg",)


def test_a_model_that_takes_no_pictures_or_none_with_so_long_a_clip_says_so() -> None:
    plan = plan_of(brief_of(PROMPT), CATALOGUE, POLICY, references=("references/a.jpg",))
    said = plan.decisions[0].reasons[-1]
    assert said == "sandbox/sprint takes no reference pictures, so the reference picture of mara cannot go with it"
    made = build_job(plan, plan.decisions[0], Attempt(0, Strategy.ORIGINAL, PROMPT), CATALOGUE, run_id="a-run")
    assert (made.order.references, made.request_sha256) == ((), job().request_sha256)
    first, *others = CATALOGUE.models
    takes = first.model_copy(update={"references": ReferencePictures(most=2, max_s=0.5)})
    catalogue = CATALOGUE.model_copy(update={"models": (takes, *others)})
    longer = plan_of(brief_of(PROMPT), catalogue, POLICY, references=("references/a.jpg",)).decisions[0].reasons[-1]
    assert "takes them with clips of at most 0.5 s, so the reference picture of mara cannot" in longer
