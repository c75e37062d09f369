"""Building a job: its order from a routing decision, the adapter's request, and the two hashes that identify it.

The *request hash* covers what decides the picture (provider, model, version and order) and is the cache's key. The
*job key* adds clip, shot and attempt and names one purchase. The seed comes from the job key unless the brief gives
one, so that a lost submit can be told from others.
"""

from video_pipeline.briefs import SCENES, StoryboardShot, fitted
from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.providers import PROVIDERS
from video_pipeline.ledger import Job, JobKind, JobState
from video_pipeline.orders import RenderOrder, sha256_of
from video_pipeline.routing import Catalogue, ClipPlan, Decision, Model


def build_job(plan: ClipPlan, decision: Decision, attempt: Attempt, catalogue: Catalogue, *, run_id: str) -> Job:
    """The planned job of one attempt at one shot."""
    shot = plan.storyboard.shots[decision.shot]
    order = RenderOrder(
        prompt=attempt.prompt,
        orientation=plan.storyboard.orientation,
        seed=_brief_seed(plan, attempt),
    )
    if attempt.kind is JobKind.IMAGE:
        model, usd = catalogue.anchor_model, catalogue.anchor_model.usd_per_image
        order = _cut(order, model.prompt_limit)
    else:
        model, usd = catalogue.named(decision.model or ""), decision.attempt_usd
        order = _cut(order, model.prompt_limit)
        start_image = attempt.image.media_url if attempt.image else attempt.frame if decision.continues else None
        references = _references(shot, attempt, model, decision.requested_s, beside=start_image)
        # The decision has the price of what it thought would be sent beside the words.
        usd += model.beside_usd(len(references), decision.requested_s, starts=start_image is not None)
        usd -= model.beside_usd(len(shot.references), decision.requested_s, starts=decision.continues)
        length = model.durations.at(decision.requested_s)
        if shot.script is not None:
            order = model.spoken(order, shot.script, shot.presenter)
        order = model.ordered(order, length, decision.resolution, decision.size).model_copy(
            update={
                "duration_s": decision.requested_s,
                "audio": decision.audio,
                "start_image": start_image,
                "references": references,
            }
        )
    identity = {"provider": model.provider, "model": model.model, "version": model.version}
    request_sha256 = sha256_of(identity | {"kind": attempt.kind.value, "order": order.document()})
    key = sha256_of({"clip": plan.clip_id, "shot": shot.index, "attempt": attempt.number, "request": request_sha256})
    if order.seed is None:
        order = order.model_copy(update={"seed": int(key[:8], 16) % 2**31})
    return Job(
        key=key,
        kind=attempt.kind,
        day=plan.storyboard.day,
        clip_id=plan.clip_id,
        shot=shot.index,
        shot_sha256=plan.storyboard.shot_sha256(shot),
        attempt=attempt.number,
        strategy=attempt.strategy,
        reason="; ".join(filter(None, (attempt.reason, decision.fall_over))),
        tier=decision.tier,
        provider=model.provider,
        model=model.model,
        model_version=model.version,
        order=order,
        request=PROVIDERS[model.provider].translate(order, model.wire),
        request_sha256=request_sha256,
        expected_usd=usd,
        state=JobState.PLANNED,
        run_id=run_id,
    )


def reusing_job(plan: ClipPlan, decision: Decision, preview: Job, *, run_id: str) -> Job:
    """The planned job of a shot that the file of `preview` serves: it is never sent, and costs nothing."""
    shot = plan.storyboard.shots[decision.shot]
    return Job(
        key=sha256_of({"clip": plan.clip_id, "shot": shot.index, "preview": preview.key}),
        kind=preview.kind,
        day=plan.storyboard.day,
        clip_id=plan.clip_id,
        shot=shot.index,
        shot_sha256=plan.storyboard.shot_sha256(shot),
        attempt=0,
        strategy=Strategy.APPROVED_PREVIEW,
        reason=f"the approved preview {preview.clip_id} serves",
        tier=decision.tier,
        provider=preview.provider,
        model=preview.model,
        model_version=preview.model_version,
        order=preview.order,
        request=preview.request,
        request_sha256=preview.request_sha256,
        expected_usd=decision.attempt_usd,
        state=JobState.PLANNED,
        run_id=run_id,
    )


def as_ordered(job: Job, decision: Decision, catalogue: Catalogue) -> Decision:
    """What a job's file is judged by: the decision, or of a job under an earlier one what itself has ordered."""
    model = catalogue.find(job.model)
    if job.model == decision.model or model is None or job.kind is JobKind.IMAGE:
        return decision
    sizes = [one.size(job.order.orientation) for one in model.resolutions if one.name == job.order.resolution]
    size = sizes[0] if sizes else decision.size
    return decision.model_copy(update={"model": job.model, "size": size, "audio": job.order.audio})


def _references(
    shot: StoryboardShot, attempt: Attempt, model: Model, seconds: float, *, beside: str | None
) -> tuple[str, ...]:
    """The reference pictures that go with an attempt: none `beside` a start image, and none of people in B-roll."""
    if beside is not None:
        return ()
    broll = attempt.prompt in shot.substitutes
    shown = [one.key for one in shot.references if not broll or one.kind == SCENES]
    return tuple(shown[: model.pictures_taken(len(shown), seconds)])


def _cut(order: RenderOrder, limit: int | None) -> RenderOrder:
    """The order with as much of its prompt as the model takes."""
    prompt, left_out = fitted(order.prompt, limit)
    return order.model_copy(update={"prompt": prompt, "left_out": left_out}) if left_out else order


def _brief_seed(plan: ClipPlan, attempt: Attempt) -> int | None:
    """The brief's seed, another for each attempt: the same one would give the same bad clip again."""
    seed = plan.storyboard.brief.seed
    return None if seed is None else (seed + attempt.number) % 2**31
