"""What the nightly and weekly judgements write into the ledger: learned preferences and delivery costs."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.feedback.learning import Learned
from video_pipeline.feedback.patterns import EditorialPattern, Parameter, StyleAffinity
from video_pipeline.feedback.scores import ModelScore
from video_pipeline.ledger import Ledger, Preference, PublicationState, SpendCategory
from video_pipeline.policy import CostPolicy
from video_pipeline.publishing import PublishRecord


def book_delivery(
    ledger: Ledger, policy: CostPolicy, clips: Sequence[ReviewedClip], records: Sequence[PublishRecord]
) -> None:
    """Book what delivering a clip is estimated to cost (sound, storage, distribution), once a clip (G4.1)."""
    published = {record.clip_id for record in records if record.state is PublicationState.PUBLISHED}
    for clip in clips:
        if clip.status is ClipStatus.PASSED and clip.audio:
            _book(ledger, clip, SpendCategory.AUDIO, policy.audio_sync_usd)
        if clip.clip_id in published:
            _book(ledger, clip, SpendCategory.DISTRIBUTION, policy.distribution_usd)


def put_learned_in_force(ledger: Ledger, learned: Learned) -> bool:
    """Give routing what is believed of the catalogue's version of every model, and which may be tried a tier above or
    rest from probation.

    Like the three below: False when it is in force already, or when what is in force was learned later.
    """
    beliefs = {model: belief.model_dump(mode="json") for model, belief in learned.beliefs.items()}
    trials = {model: learned.standings[model].tier for model in learned.candidates}
    put = ledger.governance.set_preference
    told = put(Preference.TRIALS, trials, learned_from=learned.day)
    rests = {model: day.isoformat() for model, day in learned.rests.items()}
    told = put(Preference.RESTS, rests, learned_from=learned.day) or told
    return put(Preference.BELIEFS, beliefs, learned_from=learned.day) or told


def put_proven_kinds_in_force(ledger: Ledger, scores: Sequence[ModelScore], *, learned_from: date) -> bool:
    """Tell routing on which kinds of shot a promotion holds: model -> version -> kinds."""
    table: dict[str, dict[str, list[str]]] = {}
    for score in scores:
        if score.proven_kinds:
            table.setdefault(score.model, {})[score.model_version] = list(score.proven_kinds)
    return ledger.governance.set_preference(Preference.PROVEN_KINDS, table, learned_from=learned_from)


def put_affinity_in_force(ledger: Ledger, rows: Sequence[StyleAffinity], *, learned_from: date) -> bool:
    """Give routing the week's style affinities: style -> model -> shift."""
    table: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.affinity:
            table.setdefault(row.style, {})[row.model] = row.affinity
    return ledger.governance.set_preference(Preference.STYLE_AFFINITY, table, learned_from=learned_from)


def put_guidance_in_force(ledger: Ledger, rows: Sequence[EditorialPattern], *, learned_from: date) -> bool:
    """Give the writers of briefs the hooks and styles that work, the best first: platform -> parameter -> values."""
    table: dict[str, dict[str, list[str]]] = {}
    for row in sorted(rows, key=lambda row: -row.gain):
        if row.verdict.works and row.parameter is not Parameter.GUIDANCE:
            table.setdefault(row.platform, {}).setdefault(row.parameter, []).append(row.value)
    return ledger.governance.set_preference(Preference.EDITORIAL_GUIDANCE, table, learned_from=learned_from)


def _book(ledger: Ledger, clip: ReviewedClip, category: SpendCategory, usd: Decimal) -> None:
    ledger.spend.book_once(
        f"{category} {clip.clip_id}",
        day=clip.day,
        clip_id=clip.clip_id,
        tier=clip.tier,
        category=category,
        usd=usd,
        note="the policy's estimate",
    )
