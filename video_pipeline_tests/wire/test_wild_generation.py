"""Wild answers on the way to a clip: none costs a cent that is not in the ledger, none buys twice, none wedges a run.

What fal does not document tells nothing. A submit is then looked up in fal's history. A status, a result and a file
are asked for again, for as long as the file lives.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from video_pipeline.briefs import Brief
from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.ledger import FailureKind, JobState, Ledger, ReviewState
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.answering import Answering as Stranger
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import let_probe
from video_pipeline_tests.wire import answers as wild
from video_pipeline_tests.wire.canaries import canaries_in, canaries_under, held_in
from video_pipeline_tests.wire.conftest import CANARIES, NewStage, WildStage
from video_pipeline_tests.wire.proxy import Answering, Call, Rule
from video_pipeline_tests.wire.rows import Answers, WithAddress, made, picked


class End(Enum):
    """What the first run comes to."""

    MADE = "made"
    AT_PROVIDER = "at the provider, with its reservation"
    AT_FILE = "rendered, with its bill"
    IN_DOUBT = "in doubt, with its reservation, and a person is asked"
    UNASKED = "maybe sent, with its reservation, and asked about by the next run"
    REFUSED = "surely refused, with nothing billed"


_STATES = {
    End.MADE: {JobState.ACCEPTED},
    # The whole answer to a status may be read before or after the ledger has seen it at work.
    End.AT_PROVIDER: {JobState.SUBMITTED, JobState.PROCESSING},
    End.AT_FILE: {JobState.RENDERED},
    End.IN_DOUBT: {JobState.UNKNOWN},
    End.UNASKED: {JobState.SUBMITTING},
    End.REFUSED: {JobState.FAILED},
}


@dataclass(frozen=True)
class Row:
    """`lost`: the submit's answer is lost, so that the history is asked. `kind` is why a refused job failed."""

    call: Call
    name: str
    make: Callable[[str], Answering]
    end: End
    times: int | None = 1
    passed_on: bool = True
    lost: bool = False
    kind: FailureKind | None = None

    def __str__(self) -> str:
        often = "always" if self.times is None else "once"
        return f"{self.call}-{self.name.replace(' ', '_')}-{often}-{'sent' if self.passed_on else 'kept'}"


def _rows(call: Call, answers: Answers, end: End, names: str = "", **more: Any) -> list[Row]:
    """A row for each of the answers that are named, separated by commas; of all of them without names."""
    return [Row(call, name, made(answer), end, **more) for name, answer in picked(answers, names)]


def _refusal(name: str, status: int, words: str, kind: FailureKind) -> Row:
    """fal's own word to a submit, in its flat shape."""
    answer = wild.status(status, json.dumps({"detail": words}).encode())
    return Row(Call.SUBMIT, name, lambda _: answer, End.REFUSED, passed_on=False, kind=kind)


_MB = "x" * 1_000_000
# --- what only a submit may be answered
_RECEIPTS: Answers = {
    "id object": wild.put("request_id", {"a": 1}),
    "id null": wild.put("request_id", None),
    "id number": wild.put("request_id", 17),
    "id list": wild.put("request_id", ["a"]),
    "id 1 MB": wild.put("request_id", _MB),
    "id NUL": wild.put("request_id", wild.UNFIT),
    "id of a path": wild.put("request_id", "../../../x?y=1#z"),
    "status_url object": wild.put("status_url", {"a": "b"}),
    "status_url elsewhere": WithAddress(lambda to: wild.put("status_url", f"{to}/status")),
    "response_url elsewhere": WithAddress(lambda to: wild.put("response_url", f"{to}/result")),
    "status_url with a user": WithAddress(lambda to: wild.put("status_url", to.replace("://", "://fal.run@"))),
    "status_url javascript": wild.put("status_url", "javascript:alert(1)"),
    "status_url no address": wild.put("status_url", "\x00 ::: [::1"),
    "unfit words": wild.unfit_words,
    "extra words": wild.extra_words,
    "duplicate keys": wild.duplicate_keys,
    "truncated": wild.truncated,
    "307 elsewhere": WithAddress(lambda to: wild.redirect(307, f"{to}/submit")),
    "422 details of nothing": wild.status(422, b'{"detail": [1, null, {"type": {"a": 1}}]}'),
}
# --- what only a status may be answered
_STATUSES: Answers = {
    "status object": wild.put("status", {"a": 1}),
    "status null": wild.put("status", None),
    "status list": wild.put("status", ["COMPLETED"]),
    "status 1 MB": wild.put("status", _MB),
    "status NUL": wild.put("status", wild.UNFIT),
    "unfit words": wild.unfit_words,
    "302 elsewhere": WithAddress(lambda to: wild.redirect(302, f"{to}/status")),
    "301 to nothing": wild.redirect(301, "javascript:alert(1)"),
}
# --- what only a result may be answered
_RESULTS: Answers = {
    "video null": wild.put("video", None),
    "video list": wild.put("video", ["a"]),
    "video text": wild.put("video", "http://127.0.0.1/x.mp4"),
    "url object": wild.put("video.url", {"a": 1}),
    "url null": wild.put("video.url", None),
    "url empty": wild.put("video.url", ""),
    "url 1 MB": wild.put("video.url", f"https://media.invalid/{_MB}"),
    "url NUL": wild.put("video.url", f"https://media.invalid/{wild.UNFIT}.mp4"),
    "url javascript": wild.put("video.url", "javascript:alert(1)"),
    "url file": wild.put("video.url", "file:///etc/passwd"),
    "url elsewhere": WithAddress(lambda to: wild.put("video.url", f"{to}/x.mp4")),
    "url with a user": WithAddress(lambda to: wild.put("video.url", to.replace("://", "://media.invalid@"))),
    "url inside": wild.put("video.url", "https://169.254.169.254/latest/meta-data"),
    "unfit words": wild.unfit_words,
    "truncated": wild.truncated,
    "too long": wild.too_long,
    "too short": wild.too_short,
    "302 elsewhere": WithAddress(lambda to: wild.redirect(302, f"{to}/result")),
    "400 in progress": wild.status(400, b'{"detail": "Request is still in progress"}'),
    "404 flat": wild.status(404, b'{"detail": "Request not found"}'),
    "401 flat": wild.status(401, b'{"detail": "Authentication is required"}'),
    "nsfw of nothing": wild.put("has_nsfw_concepts", {"a": [True]}),
}
# --- what only a file may be
_FILES: Answers = {
    "gzipped": wild.gzipped,
    "brotli": wild.brotli,
    "truncated": wild.truncated,
    "too long": wild.too_long,
    "too short": wild.too_short,
    "302 elsewhere": WithAddress(lambda to: wild.redirect(302, f"{to}/x.mp4")),
    "410": wild.status(410),
    "another file": wild.status(200, b"\x89PNG\r\n\x1a\n" + bytes(5000), "Content-Type: video/mp4"),
    "zeros": wild.status(200, bytes(200_000), "Content-Type: video/mp4"),
}
# --- what only a history may be
_HISTORIES: Answers = {
    "items null": wild.put("items", None),
    "items text": wild.put("items", "none"),
    "items of nothing": wild.put("items", [None, 1, "a", {}, {"request_id": {}, "json_input": []}]),
    "pages without end": wild.status(200, b'{"items": [], "has_more": true, "next_cursor": "again"}'),
    "a cursor of null": wild.status(200, b'{"items": [], "has_more": true, "next_cursor": null}'),
    "unfit words": wild.unfit_words,
    "302 elsewhere": WithAddress(lambda to: wild.redirect(302, f"{to}/history")),
}
_ANY: Answers = {**wild.NONSENSE}

ROWS = [
    # Taken by fal, and its answer says nothing: found in the history, in the same run.
    *_rows(Call.SUBMIT, _RECEIPTS, End.MADE),
    *_rows(
        Call.SUBMIT,
        _ANY,
        End.MADE,
        "200 html, 200 deep, 408, 429, 503 infinite, gzip bomb, drips, 100 for ever, headers flood, echo 200, "
        "echo 400",
    ),
    # Not taken, and the answer does not say so: it is in no history, and a person looks.
    *_rows(
        Call.SUBMIT,
        _ANY,
        End.IN_DOUBT,
        "200 html, 408, 401 html, never, echo 500",
        passed_on=False,
    ),
    # Too busy to take it, says a gateway, and the history agrees: it is sent again.
    *_rows(Call.SUBMIT, _ANY, End.MADE, "429 words, 503 old date, 503 infinite", passed_on=False),
    # fal's own word that it was not taken.
    _refusal("401 flat", 401, "Authentication is required to access this application", FailureKind.AUTH),
    _refusal("402 flat", 402, "Payment required", FailureKind.QUOTA),
    _refusal("403 flat", 403, "User is locked. Reason: Exhausted balance.", FailureKind.QUOTA),
    # Asked again in the same run.
    *_rows(Call.STATUS, _STATUSES, End.MADE),
    *_rows(Call.RESULT, _RESULTS, End.MADE),
    *_rows(Call.DOWNLOAD, _FILES, End.MADE),
    *_rows(Call.HISTORY, _HISTORIES, End.MADE, lost=True),
    *_rows(Call.HISTORY, _ANY, End.MADE, "200 html, 200 null, 404 html, 429 words, drips, gzip bomb", lost=True),
    # For as long as nothing else comes; the next run goes on with what is paid for.
    *_rows(Call.STATUS, _STATUSES, End.AT_PROVIDER, "status object, 302 elsewhere", times=None),
    *_rows(Call.STATUS, _ANY, End.AT_PROVIDER, "404 html, drips, echo 500", times=None),
    *_rows(Call.RESULT, _RESULTS, End.AT_PROVIDER, "video null, url object, 404 flat, unfit words", times=None),
    *_rows(Call.RESULT, _ANY, End.AT_PROVIDER, "200 html, 408, gzip bomb, echo 200", times=None),
    *_rows(Call.DOWNLOAD, _FILES, End.AT_FILE, "truncated, too short, 302 elsewhere, zeros", times=None),
    *_rows(Call.DOWNLOAD, _ANY, End.AT_FILE, "200 html, 200 empty, 404 html, never", times=None),
    *_rows(Call.HISTORY, _HISTORIES, End.UNASKED, "pages without end, items of nothing", times=None, lost=True),
    *_rows(Call.HISTORY, _ANY, End.UNASKED, "200 html, drips", times=None, lost=True),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_wild_answer_buys_nothing_twice_and_loses_nothing(
    new_stage: NewStage, row: Row, stranger: Stranger, said: list[str]
) -> None:
    stage = new_stage()
    proxy = stage.proxy
    name = f"{ROWS.index(row):03d}"
    prompt, other = f"The tide of bay {name} at noon", f"A meadow of {name} in the wind"
    briefs = [brief_of(prompt, brief_id=f"wild-{name}")]
    if row.times is None:
        briefs.append(brief_of(other, brief_id=f"plain-{name}"))
    rules = [Rule(row.call, row.make(stranger.base_url), row.times, passed_on=row.passed_on, subject=prompt)]
    if row.lost:
        rules.append(Rule(Call.SUBMIT, wild.hangs_up, passed_on=True, subject=prompt))
    stranger.asked.clear()
    said_before, ran_s = len(said), 0.0
    with proxy.under(*rules):
        clips, ran_s = _run(stage, *briefs, hasty=row.times is None)
        # A machine under load may have given up before the answer was asked for, and other clips made.
        for _ in range(40):
            if rules[0].used and all(clip.status is ClipStatus.GENERATED for clip in clips[1:]):
                break
            clips, ran_s = _run(stage, *briefs, hasty=True)

    assert ran_s < 25, "a run has no bound"
    assert rules[0].used > 0, "the answer was never given"
    assert not [line for line in said[said_before:] if "Traceback" in line], "an error escaped"
    assert stranger.asked == [], "a stranger was asked"
    assert all(clip.status is ClipStatus.GENERATED for clip in clips[1:]), "another clip was harmed"
    job = stage.job(prompt)
    assert job.state in _STATES[row.end], f"{job.state}: {job.failure_reason}"
    stage.check_money()
    if row.end is End.REFUSED:
        assert (job.failure_kind, job.billed_usd) == (row.kind, 0)
        # The probe of a provider that is left alone for moments only may have served the shot already.
        assert len(stage.bought(prompt)) <= 1
    else:
        assert (job.billed_usd == job.expected_usd) is (row.end in (End.MADE, End.AT_FILE))
    if row.end is End.IN_DOUBT:
        asked = stage.ledger.reviews.get(job.clip_id, "generation")
        assert asked is not None, "nobody was asked"
        assert asked.state is ReviewState.WAITING
        stage.a_person_looks()

    let_probe(stage.ledger)
    again = stage.generate(*briefs)
    if row.kind is FailureKind.INVALID:
        # The same request would be refused again: a person is asked, and nothing is bought.
        assert (again[0].status, stage.bought(prompt)) == (ClipStatus.REVIEW, [])
        return
    # What was surely refused is tried anew, and so is what a person did not find there.
    let_probe(stage.ledger)
    [clip, *_] = again if row.end is not End.IN_DOUBT or row.passed_on else stage.generate(*briefs)
    assert clip.status is ClipStatus.GENERATED, clip.reason
    assert len(stage.bought(prompt)) == 1
    stage.check_books()


def _run(
    stage: WildStage, *briefs: Brief, hasty: bool = False, **generation: Any
) -> tuple[list[GeneratedClip], float]:
    """One run, and how long it took, in seconds; with `hasty` it gives up on a job within moments."""
    changes = generation | ({"poll_timeout_s": 0.3} if hasty else {})
    changed = stage.policy.model_copy(update={"generation": stage.policy.generation.model_copy(update=changes)})
    begun = time.monotonic()
    return stage.generate(*briefs, policy=changed, limit_s=30), time.monotonic() - begun


_EVERY_STATUS = [
    wild.status(code, body) for code in wild.UNDOCUMENTED_STATUSES for body in (list(wild.BODIES.values())[code % 3],)
]


_HILLS = 6


@pytest.mark.parametrize("call", [Call.STATUS, Call.RESULT, Call.DOWNLOAD])
def test_every_answer_that_says_nothing_in_turn_is_only_asked_again(
    new_stage: NewStage, call: Call, stranger: Stranger, said: list[str]
) -> None:
    stage, answers = new_stage(), [*_EVERY_STATUS, *wild.NONSENSE.values()]
    # A job that takes long is asked for ever more seldom, so there are several.
    rules = [
        Rule(call, wild.in_turn(*some), len(some), passed_on=True, subject=f"Snow on the {call} of hill {number}")
        for number, some in enumerate(answers[first::_HILLS] for first in range(_HILLS))
    ]
    briefs = [brief_of(rule.subject, brief_id=f"sweep-{call}-{number}") for number, rule in enumerate(rules)]
    said_before = len(said)
    with stage.proxy.under(*rules):
        clips, _ = _run(stage, *briefs, backoff_s=(0.0,) * (len(answers) + 5), poll_patience_s=600.0)
    assert [rule.used for rule in rules] == [rule.times for rule in rules]
    assert {clip.status for clip in clips} == {ClipStatus.GENERATED}
    assert not [line for line in said[said_before:] if "Traceback" in line]
    stage.check_books()


def test_no_status_of_a_submit_says_that_nothing_was_bought(new_stage: NewStage) -> None:
    """But for those that fal documents, with its own words in them, and a gateway's that is busy (rows above)."""
    stage, bodies = new_stage(), list(wild.BODIES)
    rules = [
        Rule(Call.SUBMIT, wild.status(code, wild.BODIES[body]), subject=f"A bird number {code} in {body}")
        for code in wild.UNDOCUMENTED_STATUSES
        for body in (bodies[code % len(bodies)],)
        if code not in (429, 503)
    ]
    briefs = [brief_of(rule.subject, brief_id=f"status-{number}") for number, rule in enumerate(rules)]
    with stage.proxy.under(*rules):
        # On a machine under load fal's history may not answer in time; the next run asks it again.
        for _ in range(20):
            _run(stage, *briefs)
            states = {job.order.prompt: job.state for job in stage.jobs()}
            if JobState.SUBMITTING not in states.values():
                break
    assert states == {rule.subject: JobState.UNKNOWN for rule in rules}
    stage.check_books()


def test_no_secret_is_in_the_ledger_the_log_or_the_store(
    ledger_of_module: Ledger, wild_store: LocalStore, said: list[str]
) -> None:
    assert len(said) > 100, "nothing was looked at"
    assert canaries_in(ledger_of_module, *CANARIES) == []
    assert held_in("\n\x01\n".join(said), CANARIES) == []
    assert canaries_under(wild_store.root, *CANARIES) == []
