"""A model's page: what the nights knew of it, in safe words; what the day's page tells of models and of waste."""

import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from video_pipeline.feedback import ClipFact, FirstTry, ModelScore, Outcome, cost_report_of, learn, score_models
from video_pipeline.ledger import Actor, Decided, JobState, Ledger, StandingStatus
from video_pipeline.policy import Policy
from video_pipeline.reports import day_report, model_pages
from video_pipeline.reports.model_facts import (
    Given,
    explored,
    given_of,
    numbers_of,
    rescues,
    tries_by_kind,
    values_of,
)
from video_pipeline.reports.model_page import model_page_key
from video_pipeline.routing import Decision, Draw, Purpose, Tier, load_catalogue
from video_pipeline.storage import LocalStore, table_key, write_rows
from video_pipeline_tests.feedback.rows import DAY, a_fact, attempts
from video_pipeline_tests.ledger.rows import a_job

CATALOGUE = load_catalogue(sandbox=True)
HOSTILE = 'vendor/<script>alert("x")</script>'


def _tried(
    name: str, outcome: Outcome, *, model: str = HOSTILE, usd: str = "0.10", day: date = DAY, **fields: object
) -> ClipFact:
    """A clip whose first try ended so; what was refused was not billed."""
    accepted, billed = outcome is Outcome.ACCEPTED, "0" if outcome is Outcome.REFUSED else usd
    entry = attempts(model, accepted=int(accepted), refusals=int(outcome is Outcome.REFUSED), usd=billed)
    first = {"model": model, "model_version": "1", "kind": "action", "outcome": outcome, "billed_usd": billed}
    return a_fact(
        name,
        entry,
        day=day,
        model=model,
        usable=accepted,
        views=100 if accepted else None,
        completion=0.5 if accepted else None,
        waste={} if accepted or billed == "0" else {"quality": Decimal(usd)},
        firsts=(FirstTry.model_validate(first | fields),),
    )


FACTS = [
    _tried("a", Outcome.ACCEPTED),
    _tried("b", Outcome.ACCEPTED),
    _tried("c", Outcome.REFUSED),
    _tried("d", Outcome.REJECTED, rescue=True),
    _tried("e", Outcome.ACCEPTED, model="sandbox/dash", usd="0.05"),
]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def _scores(policy: Policy, day: date = DAY, facts: list[ClipFact] = FACTS) -> list[ModelScore]:
    return score_models(facts, learn(day, facts, [], CATALOGUE, policy.scoring), policy.scoring)


def _seen(policy: Policy, *models: str) -> list[ModelScore]:
    """The scores, with a clip of each of these models that was seen."""
    return [score.model_copy(update={"seen": int(score.model in models)}) for score in _scores(policy)]


def _keep(store: LocalStore, day: date, scores: list[ModelScore]) -> None:
    store.put_bytes(table_key("model_scores", str(day)), write_rows(ModelScore, scores), content_type="parquet")


def _give(ledger: Ledger, fact: ClipFact) -> None:
    """The clip was bought from the model with the hostile name to learn of it."""
    draw = Draw(purpose=Purpose.LEARN, shares={HOSTILE: 0.1}, point=0.05, extra_usd=Decimal("0.02"))
    decision = Decision(shot=0, tier=Tier.PREVIEW, model=HOSTILE, chance=0.1, draw=draw)
    job = a_job(fact.brief_id, clip_id=fact.clip_id, state=JobState.ACCEPTED)
    document = decision.model_dump(mode="json")
    ledger.governance.stick(clip_id=fact.clip_id, shot=0, shot_sha256=job.shot_sha256, document=document)
    ledger.jobs.plan(job)


def _page(store: LocalStore, model: str = HOSTILE) -> str:
    return store.read_bytes(model_page_key(model)).decode()


def test_a_page_tells_the_nights_the_standings_and_the_kinds_in_safe_words(
    ledger: Ledger, store: LocalStore, policy: Policy
):
    before = DAY - timedelta(days=1)
    _keep(store, before, _scores(policy, before, [_tried("z", Outcome.ACCEPTED, day=before)]))
    ledger.governance.set_standing(
        HOSTILE,
        StandingStatus.DEMOTED,
        model_version="1",
        tier="preview",
        by=Actor.SCORE,
        day=DAY,
        evidence={"reason": "refused <9> of 12", "refusal_interval": [0.41, 0.92], "score": 0.1},
    )
    _give(ledger, FACTS[1])
    pages = model_pages(store, ledger, _scores(policy), FACTS)
    assert set(pages) == {HOSTILE, "sandbox/dash"}
    page = _page(store)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "refused &lt;9&gt; of 12" in page and "refusal interval: 0.41 to 0.92" in page
    assert str(before) in page and '<span class="status demoted">' in page
    assert "<td>to learn of it</td>" in page and "$0.0200" in page
    assert "Not compared: 1 clip that came" in page
    assert "no night has changed that" in _page(store, "sandbox/dash")


def test_the_page_of_an_older_night_leaves_a_newer_one_alone(ledger: Ledger, store: LocalStore, policy: Policy):
    after = DAY + timedelta(days=1)
    _keep(store, after, _scores(policy, after))
    assert model_pages(store, ledger, _scores(policy), FACTS) == {}
    assert model_pages(store, ledger, [], []) == {}
    assert not store.exists(model_page_key(HOSTILE))


def test_names_that_look_alike_have_pages_of_their_own():
    keys = {model_page_key(name) for name in ("a/b", "a-b", "A/b", "../b", "", "é" * 300)}
    assert len(keys) == 6


def test_tries_are_counted_once_and_where_they_belong():
    [(kind, tries)] = tries_by_kind(HOSTILE, "1", FACTS).items()
    assert (kind, tries.tried, tries.accepted, tries.usd_per_accepted) == ("action", 3, 2, Decimal("0.10"))
    given = {FACTS[1].clip_id: Given(HOSTILE, Purpose.LEARN, Decimal("0.02"))}
    [(purpose, exploration)] = explored(HOSTILE, "1", FACTS, given).items()
    assert (purpose, exploration.tries.accepted, exploration.extra_usd) == (Purpose.LEARN, 1, Decimal("0.02"))
    assert explored(HOSTILE, "2", FACTS, given) == explored("sandbox/dash", "1", FACTS, given) == {}
    assert rescues(HOSTILE, "1", FACTS).ends[Outcome.REJECTED] == 1


def test_only_clips_that_were_bought_to_learn_are_explored():
    def decided(name: str, purpose: Purpose, *, begun: bool = True) -> Decided:
        draw = Draw(purpose=purpose, shares={HOSTILE: 0.1}, point=0.05, extra_usd=Decimal("0.02"))
        decision = Decision(shot=0, tier=Tier.PREVIEW, model=HOSTILE, chance=0.1, draw=draw)
        return Decided(f"{DAY}/{name}", "", decision.model_dump(mode="json"), begun)

    rows = [decided("a", Purpose.VALUE), decided("b", Purpose.LEARN), decided("b", Purpose.LEARN)]
    rows.append(decided("c", Purpose.TRIAL, begun=False))
    assert given_of(rows) == {f"{DAY}/b": Given(HOSTILE, Purpose.LEARN, Decimal("0.04"))}


def test_an_accepted_clip_costs_all_that_was_billed(policy: Policy):
    cheap, dear = values_of(_seen(policy, HOSTILE), FACTS)
    assert (cheap.model, cheap.usd.value, dear.usd.value) == ("sandbox/dash", 0.05, pytest.approx(0.15))
    assert dear.usd.low < dear.usd.value < dear.usd.high
    assert dear.worth is not None and dear.worth.low < dear.worth.value == 1.0 < dear.worth.high
    assert cheap.worth is None


def test_evidence_is_told_in_numbers():
    evidence = {"reason": "why", "promotion": {"acceptance": {"interval": [0.85, 0.971234]}}, "by_tier": 3}
    assert numbers_of(evidence) == [("promotion, acceptance, interval", "0.85 to 0.9712"), ("by tier", "3")]


def test_the_days_page_links_its_models_and_tells_waste_and_exploration(
    ledger: Ledger, store: LocalStore, policy: Policy
):
    report = cost_report_of(DAY, FACTS)
    assert report.waste_by_day == {str(DAY): {"quality": Decimal("0.10")}}
    bare = day_report(store, ledger, report, FACTS, limit_usd=Decimal("0.15"), recent=FACTS)
    assert "Value for money" not in store.read_bytes(bare.key).decode()
    _keep(store, DAY, _seen(policy, HOSTILE, "sandbox/dash"))
    _give(ledger, FACTS[1])
    page = store.read_bytes(day_report(store, ledger, report, FACTS, limit_usd=Decimal("0.15"), recent=FACTS).key)
    html = page.decode()
    assert "<script" not in html
    assert f'href="../{model_page_key(HOSTILE).removeprefix("reports/")}"' in html
    assert "expected to cost $0.0200 more than with the best value" in html
    # Of the two that were accepted one was bought to learn.
    assert re.search(r'class="number">1</td>\s*<td class="number">\$0\.1000</td></tr>', html)
    assert "Waste by cause" in html and "Value for money" in html
