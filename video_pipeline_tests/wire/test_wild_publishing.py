"""Wild answers on the way to the public: no clip goes there twice, none is lost, none stops another.

What a platform does not document decides nothing. The session is asked again, by the next run if need be, and
nothing is sent to it before it has said what it has.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from itertools import count
from typing import Any

import pytest

from video_pipeline.ledger import Ledger, PublicationState
from video_pipeline.publishing import attempt as attempts
from video_pipeline.publishing import collect_engagement, resolve_publication
from video_pipeline.publishing.platforms import instagram
from video_pipeline.publishing.platforms import youtube as adapter
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.answering import Answering as Stranger
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import DAY
from video_pipeline_tests.wire import answers as wild
from video_pipeline_tests.wire.canaries import canaries_in, held_in
from video_pipeline_tests.wire.channel import NAME, Channel
from video_pipeline_tests.wire.conftest import CANARIES
from video_pipeline_tests.wire.proxy import Answering, Call, Proxy, Rule
from video_pipeline_tests.wire.rows import Answers, WithAddress, made, picked

_DAYS = count()


class End(Enum):
    """What the first run comes to."""

    PUBLIC = "public"
    OPEN = "public, or under way and asked again by the next run"
    UNDER_WAY = "under way, and asked again by the next run"
    FAILED = "refused in the platform's words, and tried again by the next run"
    IN_DOUBT = "in doubt, and only a person can say"


_STATES = {
    End.PUBLIC: {PublicationState.PUBLISHED},
    End.OPEN: {PublicationState.PUBLISHED, PublicationState.PUBLISHING},
    End.UNDER_WAY: {PublicationState.PUBLISHING},
    End.FAILED: {PublicationState.FAILED},
    End.IN_DOUBT: {PublicationState.UNKNOWN},
}


@dataclass(frozen=True)
class Row:
    """`unheard`: the answer to what makes the clip public is lost, so that the session is asked."""

    call: Call
    name: str
    make: Callable[[str], Answering]
    end: End
    times: int | None = 1
    passed_on: bool = True
    unheard: bool = False
    platform: str = NAME

    def __str__(self) -> str:
        often = "always" if self.times is None else "once"
        of = "" if self.platform == NAME else f"{self.platform}-"
        return f"{of}{self.call}-{self.name.replace(' ', '_')}-{often}-{'sent' if self.passed_on else 'kept'}"


def _rows(call: Call, answers: Answers, end: End, names: str = "", **more: Any) -> list[Row]:
    """A row for each of the answers that are named, separated by commas; of all of them without names."""
    return [Row(call, name, made(answer), end, **more) for name, answer in picked(answers, names)]


def _google(code: int, reason: str) -> Answering:
    """An error in Google's words."""
    error = {"code": code, "message": wild.UNFIT, "errors": [{"message": wild.UNFIT, "reason": reason}]}
    return wild.status(code, json.dumps({"error": error}).encode())


_MB = "x" * 1_000_000
_OPENED: Answers = {
    "location elsewhere": WithAddress(lambda to: wild.with_header("Location", f"{to}/upload?upload_id=1")),
    "location with a user": WithAddress(
        lambda to: wild.with_header("Location", to.replace("://", "://www.googleapis.com@"))
    ),
    "location javascript": wild.with_header("Location", "javascript:alert(1)"),
    "location no address": wild.with_header("Location", "::: [::1"),
    "location of a path": wild.with_header("Location", "/upload"),
    "location 50 kB": wild.with_header("Location", f"https://www.googleapis.com/{'x' * 50_000}"),
    "no location": wild.with_header("Location", None),
    "307 elsewhere": WithAddress(lambda to: wild.redirect(307, f"{to}/upload")),
    "403 nobody's words": wild.status(
        403, b'{"error": {"code": 403, "message": "no", "errors": [{"reason": "so"}]}}'
    ),
}
_SENT: Answers = {
    "id object": wild.put("id", {"a": 1}),
    "id null": wild.put("id", None),
    "id number": wild.put("id", 17),
    "id empty": wild.put("id", ""),
    "id 1 MB": wild.put("id", _MB),
    "id NUL": wild.put("id", wild.UNFIT),
    "id markup": wild.put("id", '"><script>alert(1)</script>'),
    "unfit words": wild.unfit_words,
    "truncated": wild.truncated,
    "too long": wild.too_long,
    "308 elsewhere": WithAddress(lambda to: wild.redirect(308, f"{to}/upload")),
    "307 elsewhere": WithAddress(lambda to: wild.redirect(307, f"{to}/upload")),
    "404 html": wild.status(404, wild.HTML),
}
_TOKENS: Answers = {
    "token object": wild.put("access_token", {"a": 1}),
    "token empty": wild.put("access_token", ""),
    "token of two lines": wild.put("access_token", "one\r\nX-Other: two"),
    "token NUL": wild.put("access_token", wild.UNFIT),
    "token 1 MB": wild.put("access_token", _MB),
    "lives for words": wild.put("expires_in", "soon"),
    "307 elsewhere": WithAddress(lambda to: wild.redirect(307, f"{to}/token")),
    "400 html": wild.status(400, wild.HTML),
}
_ANY: Answers = {**wild.NONSENSE}

ROWS = [
    *_rows(Call.OPEN, _OPENED, End.OPEN),
    *_rows(Call.OPEN, _ANY, End.OPEN, "200 html, 408, 404 html, 429 words, gzip bomb, never, hangs up, echo 400"),
    *_rows(Call.OPEN, _OPENED, End.UNDER_WAY, "location elsewhere, no location", times=None),
    *_rows(Call.OPEN, _ANY, End.UNDER_WAY, "200 deep, 503 infinite, drips, echo 500", times=None),
    Row(Call.OPEN, "403 quota", made(_google(403, "quotaExceeded")), End.FAILED, passed_on=False),
    # Whatever the answer to an upload says, the session knows whether it has the clip.
    *_rows(Call.SEND, _SENT, End.PUBLIC),
    *_rows(Call.SEND, _ANY, End.PUBLIC, "200 {}, 408, 401 html, gzip bomb, chunks cut, 100 for ever, echo 200"),
    *_rows(Call.SEND, _ANY, End.PUBLIC, "200 html, 503 old date, drips, hangs up, 404 html", passed_on=False),
    *_rows(Call.SEND, _ANY, End.PUBLIC, "200 html, 404 html, never", times=None),
    *_rows(Call.SEND, _ANY, End.UNDER_WAY, "200 html, 403 html, 522 html, no HTTP", times=None, passed_on=False),
    *_rows(Call.ASK, _SENT, End.OPEN, unheard=True),
    *_rows(Call.ASK, _SENT, End.UNDER_WAY, "id object, id NUL, 307 elsewhere", times=None, unheard=True),
    *_rows(Call.ASK, _ANY, End.UNDER_WAY, "200 html, 404 html, 429 negative, drips", times=None, unheard=True),
    Row(Call.ASK, "404 Google", made(_google(404, "notFound")), End.IN_DOUBT, None, unheard=True),
    *_rows(Call.TOKEN, _TOKENS, End.UNDER_WAY, times=None),
    *_rows(Call.TOKEN, _ANY, End.UNDER_WAY, "200 html, 200 {}, 200 null, 403 html, never, echo 200", times=None),
    *_rows(Call.TOKEN, _ANY, End.OPEN, "200 empty, 522 html, gzip bomb, echo 400"),
    Row(Call.TOKEN, "400 grant", made(wild.status(400, b'{"error": "invalid_grant"}')), End.FAILED, passed_on=False),
]
_CONTAINER: Answers = {
    "uri elsewhere": WithAddress(lambda to: wild.put("uri", f"{to}/upload")),
    "uri javascript": wild.put("uri", "javascript:alert(1)"),
    "id object": wild.put("id", {"a": 1}),
    "id markup": wild.put("id", '"><script>alert(1)</script>'),
    "unknown word": wild.put("status_code", "SOARING"),
    "200 error": wild.status(200, b'{"error": {"code": 2, "message": "x", "is_transient": true}}'),
    "307 elsewhere": WithAddress(lambda to: wild.redirect(307, f"{to}/upload")),
    "unfit words": wild.unfit_words,
}


def _reels(call: Call, answers: Answers, end: End, names: str, **more: Any) -> list[Row]:
    return _rows(call, answers, end, names, platform="instagram_reels", **more)


ROWS += [
    *_reels(Call.LIMIT, _ANY, End.UNDER_WAY, "200 {}", times=None),
    *_reels(Call.OPEN, _CONTAINER, End.OPEN, "uri javascript, id object, 200 error"),
    *_reels(Call.OPEN, _CONTAINER, End.UNDER_WAY, "uri elsewhere", times=None),
    *_reels(Call.SEND, _ANY, End.PUBLIC, "200 html, hangs up"),
    *_reels(Call.SEND, _ANY, End.PUBLIC, "401 html", passed_on=False),
    # Whatever the answer to the word to publish says, the container knows whether it is public.
    *_reels(Call.PUBLISH, _CONTAINER, End.PUBLIC, "id object, id markup, 200 error, 307 elsewhere"),
    *_reels(Call.PUBLISH, _ANY, End.PUBLIC, "200 html, never", times=None),
    *_reels(Call.PUBLISH, _ANY, End.UNDER_WAY, "403 html", times=None, passed_on=False),
    *_reels(Call.ASK, _CONTAINER, End.UNDER_WAY, "unknown word", times=None),
    *_reels(Call.ASK, _ANY, End.OPEN, "200 html"),
    # A container that is public does not say as what.
    *_reels(Call.LATEST, _ANY, End.UNDER_WAY, "200 {}, 404 html", times=None, unheard=True),
]


@pytest.fixture(autouse=True)
def _at_once(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_RETRIES_S", (0.0,))
    monkeypatch.setattr(instagram, "_RETRIES_S", (0.0,))
    monkeypatch.setattr(attempts, "_SEND_RETRIES_S", (0.0, 0.0))


@pytest.fixture
def channel(ledger_of_module: Ledger, wild_store: LocalStore, module_edge: Edge, proxy: Proxy) -> Channel:
    day = DAY + timedelta(days=2 * next(_DAYS))
    return Channel(ledger_of_module, wild_store, module_edge, proxy, day)


@pytest.fixture
def calm(said: list[str]) -> Iterator[None]:
    """Nobody has stumbled."""
    before = len(said)
    yield
    assert not [line for line in said[before:] if "Traceback" in line or "broke off with a" in line]


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_wild_answer_publishes_nothing_twice_and_loses_nothing(
    channel: Channel, row: Row, stranger: Stranger
) -> None:
    channel.name = row.platform
    wild_title, plain_title = channel.titles
    rules = [Rule(row.call, row.make(stranger.base_url), row.times, passed_on=row.passed_on, subject=wild_title)]
    if row.unheard:
        goes_public = Call.SEND if row.platform == NAME else Call.PUBLISH
        rules.append(Rule(goes_public, wild.hangs_up, passed_on=True, subject=wild_title))
    stranger.asked.clear()
    with channel.proxy.under(*rules):
        took_s = channel.run()
    assert took_s < 25
    assert rules[0].used > 0, "the answer was never given"
    assert stranger.asked == []
    assert len(channel.videos(wild_title)) <= 1
    publication = channel.publication(wild_title)
    assert publication.state in _STATES[row.end], publication.reason
    # Of the account, and not of one clip.
    if row.call not in (Call.TOKEN, Call.LIMIT, Call.LATEST) or row.end is End.OPEN:
        assert channel.publication(plain_title).state is PublicationState.PUBLISHED, "another clip was harmed"
    if row.end is End.IN_DOUBT:
        channel.run()
        publication = channel.publication(wild_title)
        assert publication.state is PublicationState.UNKNOWN
        [video] = channel.videos(wild_title)
        resolve_publication(channel.ledger, channel.platform, publication, found=video["video_id"])

    # A machine under load may not answer within the short time that these tests allow; the run after it asks again.
    for _ in range(5):
        channel.run()
        if all(channel.publication(title).state is PublicationState.PUBLISHED for title in channel.titles):
            break
    for title in channel.titles:
        [video] = channel.videos(title)
        publication = channel.publication(title)
        assert (publication.state, publication.remote_id) == (PublicationState.PUBLISHED, video["video_id"])


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("call", [Call.TOKEN, Call.OPEN, Call.SEND, Call.ASK])
def test_statuses_in_turn_leave_a_clip_under_way(
    channel: Channel, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of each kind: that the adapter takes all of them alike is in test_wild_matrix."""
    monkeypatch.setattr(adapter, "_RETRIES_S", ())
    monkeypatch.setattr(attempts, "_SEND_RETRIES_S", ())
    title, _ = channel.titles
    # 308 is what a session says that has not got everything.
    codes = [code for code in wild.UNDOCUMENTED_STATUSES[::5] if not (code == 308 and call is Call.ASK)]
    answers = [wild.status(code, list(wild.BODIES.values())[code % 3]) for code in codes]
    rule = Rule(call, wild.in_turn(*answers), len(answers), passed_on=call is Call.ASK, subject=title)
    unheard = [Rule(Call.SEND, wild.hangs_up, passed_on=True, subject=title)] if call is Call.ASK else []
    states: set[PublicationState] = set()
    with channel.proxy.under(rule, *unheard):
        # Three runs an answer: on a loaded machine a call may time out before the proxy has read it.
        for _ in range(3 * len(answers)):
            channel.run()
            if rule.used == len(answers):
                break
            states.add(channel.publication(title).state)
    assert (rule.used, states) == (len(answers), {PublicationState.PUBLISHING})
    channel.run()
    assert channel.publication(title).state is PublicationState.PUBLISHED
    assert len(channel.videos(title)) == 1


_NUMBERS: Answers = {
    "items null": wild.put("items", None),
    "items of nothing": wild.put("items", [None, 1, {"id": {}}]),
    "rows of nothing": wild.put("rows", [[None], ["a", "b"], 7]),
    "columns null": wild.put("columnHeaders", None),
    "unfit words": wild.unfit_words,
    "307 elsewhere": WithAddress(lambda to: wild.redirect(307, f"{to}/numbers")),
    **dict(picked(_ANY, "200 html, 200 NaN, 200 deep, gzip bomb, drips, echo 400")),
}


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("call", [Call.METRICS, Call.ANALYTICS])
def test_wild_numbers_are_no_numbers_and_stop_nothing(channel: Channel, call: Call, stranger: Stranger) -> None:
    channel.run()

    def collected() -> list[int | None]:
        rows = collect_engagement(channel.ledger, {NAME: channel.youtube}, day=channel.day, trailing_days=1)
        return [row.views for row in rows]

    stranger.asked.clear()
    for answer in _NUMBERS.values():
        with channel.proxy.under(Rule(call, made(answer)(stranger.base_url), None, passed_on=True)):
            assert all(views is None or views >= 0 for views in collected())
    assert stranger.asked == []
    assert len([views for views in collected() if views is not None]) == 2


def test_no_secret_is_in_the_ledger_or_the_log(ledger_of_module: Ledger, said: list[str]) -> None:
    assert len(said) > 50, "nothing was looked at"
    assert canaries_in(ledger_of_module, *CANARIES) == []
    assert held_in("\n\x01\n".join(said), CANARIES) == []
