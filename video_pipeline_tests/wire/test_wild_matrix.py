"""Every question that a vendor is asked, with every kind of wild answer: none of them decides anything.

The questions are those that the proxy knows, so that a new one without a place here is red; so is a new wild answer
that is of no kind. What an answer may decide all the same is an exception, and says why.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from video_pipeline.errors import VendorError
from video_pipeline.generation.arrival import flaw_of
from video_pipeline.generation.download import NotFetched, download
from video_pipeline.generation.providers import NotAccepted, SubmitUnknown, Undecided
from video_pipeline.generation.providers.fal import FalProvider
from video_pipeline.ledger import Job, JobKind
from video_pipeline.policy import Policy
from video_pipeline.publishing.platforms import (
    Missing,
    Session,
    UploadInterrupted,
    UploadRefused,
    instagram,
    youtube,
)
from video_pipeline.publishing.platforms.instagram import InstagramReels
from video_pipeline.publishing.platforms.youtube import YouTubeShorts
from video_pipeline.publishing.rules import PublishRequest
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.answering import Answering as Stranger
from video_pipeline_tests.contract.edge import Edge, wait_for
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.wire import answers as wild
from video_pipeline_tests.wire.canaries import held_in
from video_pipeline_tests.wire.conftest import CANARIES, CLIENT_SECRET, FAL_KEY, GRAPH_TOKEN, REFRESH_TOKEN, behind
from video_pipeline_tests.wire.proxy import Answering, Call, Proxy, Rule

pytestmark = pytest.mark.usefixtures("impatient")

KINDS = {
    "html": "200 html",
    "empty": "200 empty, 204",
    "cut": "206 partial, chunks cut, hangs up, no HTTP",
    "slow": "drips, drips its head, never, head only, 100 for ever",
    "huge": "200 deep, headers flood",
    "gzip": "gzip bomb, nested gzip bomb, gzip of nothing, br",
    "wrong types": "200 {}, 200 [], 200 null, 200 a number, 200 NaN, 200 no utf-8",
    "echo": "echo 200, echo 400, echo 500",
    "3xx": "",
    "4xx": "408, 404 html, 401 html, 403 html, 429, 429 negative, 429 words",
    "5xx": "503 infinite, 503 old date, 522 html, 999",
    "NUL": "",
    "other hosts": "",
}
"""The kinds of wild answers, and which of the nonsense that anybody may answer is of each."""

_GOOD: dict[Call, dict[str, Any]] = {
    Call.SUBMIT: {"request_id": "a-request"},
    Call.STATUS: {"status": "COMPLETED"},
    Call.RESULT: {"video": {"url": "https://media.example/x.mp4"}},
    Call.HISTORY: {"items": [], "has_more": False},
    Call.PRICES: {"prices": []},
    Call.BILLING: {"billing_events": [], "has_more": False},
    Call.TOKEN: {"access_token": "a-token"},
    Call.SEND: {"id": "a-video"},
    Call.ASK: {"id": "a-video"},
    Call.METRICS: {"items": []},
    Call.ANALYTICS: {"columnHeaders": [], "rows": []},
    Call.LIMIT: {"data": [{"quota_usage": 0, "config": {"quota_total": 50}}]},
    Call.PUBLISH: {"id": "a-reel"},
    Call.LATEST: {"data": []},
}
"""What must be in the answer to a question, at least."""

_NO_JSON = {
    Call.CANCEL: "its answer is not read",
    Call.DOWNLOAD: "it is a file",
    Call.OPEN: "all that is read is its Location header, whose wild rows stand in test_wild_publishing",
}
"""Questions that no JSON answers, so that there are no fields of wrong types."""


@dataclass(frozen=True)
class Cell:
    """One question and one wild answer; `name` is in the question and nowhere else."""

    call: Call
    kind: str
    answer_name: str
    answer: Answering
    name: str

    def __str__(self) -> str:
        return f"{self.call} · {self.kind} · {self.answer_name}"


def _wrong(good: dict[str, Any], value: Any) -> Iterator[tuple[str, Answering]]:
    """The least that a good answer holds, with `value` in the place of each thing in it."""

    def places(document: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        if isinstance(document, dict):
            for name, inner in document.items():
                yield (*way, name)
                yield from places(inner, (*way, name))

    for way in places(good):
        changed = json.loads(json.dumps(good))
        inner = changed
        for name in way[:-1]:
            inner = inner[name]
        if inner[way[-1]] == value:
            continue
        inner[way[-1]] = value
        yield f"{'.'.join(way)} is {json.dumps(value)[:20]}", wild.status(200, json.dumps(changed).encode())


def answers(kind: str, stranger: str, good: dict[str, Any] | None) -> dict[str, Answering]:
    """The wild answers of a kind to a question that is answered with at least `good`, or with no JSON."""
    found = {name: wild.NONSENSE[name] for name in map(str.strip, KINDS[kind].split(",")) if name}
    if kind[1:] == "xx":
        bodies = list(wild.BODIES.values())
        codes = [code for code in wild.UNDOCUMENTED_STATUSES if str(code)[0] == kind[0]]
        found |= {f"{code} {code % 3}": wild.status(code, bodies[code % 3]) for code in codes}
    if kind == "other hosts":
        codes = (300, 301, 302, 303, 307, 308)
        found |= {f"{code} elsewhere": wild.redirect(code, f"{stranger}/x") for code in codes}
        found |= {"301 to a script": wild.redirect(301, "javascript:alert(1)")}
    if kind == "huge":
        found |= {"many values": wild.many_values, "many items": wild.many_items, "wide words": wild.wide_words}
        found |= {"endless": wild.endless}
    if kind == "cut":
        body = json.dumps(good or {"a": "b"}).encode()
        found |= {"cut JSON": wild.status(200, body[:-2]), "gzip cut": wild.gzip_cut(body)}
    if kind in ("wrong types", "NUL") and good is not None:
        values = [wild.UNFIT] if kind == "NUL" else [None, {"a": 1}, ["a"], 7.5, "\r\nX: y", "x" * 100_000]
        found |= dict(pair for value in values for pair in _wrong(good, value))
    if kind == "NUL" and good is None:
        found |= {"NUL in a header": wild.status(503, b"\x00\xff", "X-Note: \x01\x7f")}
    return found


# (question, what the name of an answer begins with) -> what it comes to, and why that may be.
_EXCEPTIONS: dict[tuple[Call, str], tuple[str, str]] = {
    (Call.SUBMIT, "429"): ("not accepted, as nobody documents", "a busy gateway is believed if the history agrees"),
    (Call.SUBMIT, "503"): ("not accepted, as nobody documents", "a busy gateway is believed if the history agrees"),
    (Call.SUBMIT, "echo 400"): ("not accepted, as nobody documents", "a sentence is believed if the history agrees"),
    (Call.SEND, "308"): ("missing", "so a session says that it has not got everything"),
    (Call.ASK, "308"): ("missing", "so a session says that it has not got everything"),
    (Call.LIMIT, "echo 200"): ("refused for now", "it is an error in Meta's own form, and is asked again"),
    (Call.LATEST, "echo 200"): ("refused for now", "it is an error in Meta's own form, and is asked again"),
}
# In the words of the question: a cancel is never an end, and where Analytics fails public numbers are kept.
_UNDECIDED = {Call.SUBMIT: {"unknown"}, Call.CANCEL: {"said"}, Call.ANALYTICS: {"undecided", "no numbers"}}


class Questions:
    """The adapters behind the proxy; each question gives in words what it came to."""

    def __init__(self, proxy: Proxy, edge: Edge, job: Job, folder: Path) -> None:
        self._proxy, self._edge, self._job, self._folder = proxy, behind(proxy, edge), job, folder
        self._channel = self._youtube("a-client")
        (folder / "film.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42")
        ready = self._processed(edge.instagram(), folder / "film.mp4")
        self.asked: dict[Call, Callable[[str], str]] = {
            Call.SUBMIT: self._submit,
            Call.STATUS: lambda name: self._fal(lambda fal: fal.poll(self._bought(name))),
            Call.RESULT: lambda name: self._fal(lambda fal: fal.result(self._bought(name))),
            Call.CANCEL: lambda name: self._fal(lambda fal: fal.cancel(self._bought(name))),
            Call.HISTORY: self._history,
            Call.PRICES: lambda name: self._fal(lambda fal: fal.prices([name])),
            Call.BILLING: self._billing,
            Call.DOWNLOAD: self._download,
            Call.TOKEN: lambda name: self._to(lambda: self._youtube(name).metrics(["a-video"])),
            Call.OPEN: lambda name: self._to(lambda: self._channel.open_session(_request(name))),
            Call.SEND: lambda name: self._to(lambda: self._channel.send(self._session(name), folder / "film.mp4")),
            Call.ASK: lambda name: self._to(lambda: self._channel.status(self._session(name))),
            Call.METRICS: lambda name: self._to(lambda: self._channel.metrics([name])),
            Call.ANALYTICS: lambda name: self._to(lambda: self._channel.metrics([name])),
            Call.LIMIT: lambda name: self._to(lambda: self._reels(name).open_session(_request(name))),
            Call.PUBLISH: lambda name: self._to(lambda: self._reels(name).send(ready, folder / "film.mp4")),
            Call.LATEST: lambda name: self._to(lambda: self._reels(name).status(ready | {"container": "17"})),
        }

    def _fal(self, ask: Callable[[FalProvider], Any], edge: Edge | None = None) -> str:
        async def asked() -> str:
            async with httpx.AsyncClient(trust_env=False, verify=False) as client:
                try:
                    said = await ask((edge or self._edge).fal(client, key=FAL_KEY, admin_key=FAL_KEY))
                except NotAccepted as error:
                    word = f"its word: {error}" if error.documented else "as nobody documents"
                    return f"not accepted, {word}{_told(error)}"
                except SubmitUnknown as error:
                    return f"unknown{_told(error)}"
                except (Undecided, NotFetched) as error:
                    return f"undecided{_told(error)}"
            return "said" if said is None else f"{said}"

        return anyio.run(asked)

    def _to(self, ask: Callable[[], Any]) -> str:
        try:
            said = ask()
        except UploadInterrupted as error:
            return f"undecided{_told(error)}"
        except UploadRefused as error:
            return f"refused {'for good' if error.lasting else 'for now'}{_told(error)}"
        return {Missing(): "missing"}.get(said, f"{said}") if said else "no numbers"

    def _submit(self, name: str) -> str:
        request = self._job.request | {"arguments": self._job.request["arguments"] | {"prompt": name}}
        return self._fal(lambda fal: fal.submit(replace(self._job, request=request)))

    def _history(self, name: str) -> str:
        job = replace(self._job, request=self._job.request | {"endpoint": f"sandbox/{name}"})
        return self._fal(lambda fal: fal.find(job, known_ids=frozenset()))

    def _billing(self, name: str) -> str:
        edge, now = replace(self._edge, base_url=f"{self._edge.base_url}/{name}"), datetime.now(UTC)
        return self._fal(lambda fal: fal.billed(now - timedelta(days=1), now), edge)

    def _download(self, name: str) -> str:
        async def fetch(_: FalProvider) -> str | None:
            async with httpx.AsyncClient(trust_env=False, verify=False) as client:
                url, target = f"{self._proxy.base_url}/media/{name}.mp4", self._folder / name
                origins = frozenset({self._proxy.base_url})
                await download(client, url, target, trusted_origins=origins, max_bytes=10**6, deadline_s=0.5)
            flaw = flaw_of(target, JobKind.VIDEO)
            return "undecided" if flaw is not None and flaw.foreign else f"a file: {flaw}"

        return self._fal(fetch)

    def _bought(self, name: str) -> Job:
        base = f"{self._proxy.base_url}/fal-queue/sandbox/sprint/requests/{name}"
        receipt = {"status_url": f"{base}/status", "response_url": base, "cancel_url": f"{base}/cancel"}
        return replace(self._job, provider_job_id=name, receipt=receipt)

    def _youtube(self, client_id: str) -> YouTubeShorts:
        return self._edge.youtube(client_id=client_id, client_secret=CLIENT_SECRET, refresh_token=REFRESH_TOKEN)

    def _reels(self, user_id: str) -> InstagramReels:
        return self._edge.instagram(access_token=GRAPH_TOKEN, user_id=user_id)

    @staticmethod
    def _processed(reels: InstagramReels, film: Path) -> Session:
        """A container that lacks nothing but the word to publish."""
        session = reels.open_session(_request("a reel"))
        reels.send(session, film)
        wait_for(lambda: reels.status(session) == Missing())
        return session

    def _session(self, name: str) -> dict[str, Any]:
        return {"url": f"{self._proxy.base_url}/youtube/upload/youtube/v3/videos?upload_id={name}", "size_bytes": 12}


def _told(error: VendorError) -> str:
    """Nothing; or that a secret is in an error's words or in what is kept of the answer."""
    held = held_in(f"{error} {json.dumps(getattr(error, 'answer', None))}", CANARIES)
    return f", and it tells {held}" if held else ""


def _request(name: str) -> PublishRequest:
    return PublishRequest(
        clip_id="a-clip",
        platform="youtube_shorts",
        title=name,
        description="",
        tags=(),
        size_bytes=12,
        size=(108, 192),
        duration_s=1.0,
    )


@pytest.fixture(scope="module")
def questions(
    proxy: Proxy, module_edge: Edge, sandbox_catalogue: Catalogue, policy: Policy, tmp_path_factory: Any
) -> Questions:
    job = job_of(brief_of("A lake"), sandbox_catalogue, policy)
    return Questions(proxy, module_edge, job, tmp_path_factory.mktemp("matrix"))


def test_every_wild_answer_is_of_one_kind() -> None:
    listed = [name.strip() for names in KINDS.values() for name in names.split(",") if name]
    assert sorted(listed) == sorted(wild.NONSENSE)


def test_every_question_has_every_kind_of_wild_answer(questions: Questions) -> None:
    assert set(questions.asked) == set(Call) - {Call.OTHER}
    assert set(_GOOD) | set(_NO_JSON) == set(questions.asked)
    asked = [(call, kind) for call in questions.asked for kind in KINDS]
    empty = [(call, kind) for call, kind in asked if not answers(kind, "http://x", _GOOD.get(call))]
    assert empty == []


@pytest.mark.parametrize("call", [call for call in Call if call is not Call.OTHER])
def test_no_wild_answer_decides_anything(
    questions: Questions, proxy: Proxy, stranger: Stranger, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for platform in (youtube, instagram):
        monkeypatch.setattr(platform, "_RETRIES_S", ())
    stranger.asked.clear()
    cells = [
        Cell(call, kind, name, answer, str(uuid.uuid4()))
        for kind in KINDS
        for name, answer in answers(kind, stranger.base_url, _GOOD.get(call)).items()
    ]
    rules = {cell: Rule(call, cell.answer, None, within=cell.name) for cell in cells}

    def asked(cell: Cell) -> str:
        # A machine under load may have given up before the answer began.
        for _ in range(20):
            came_to = questions.asked[call](cell.name)
            if rules[cell].used:
                return came_to
        raise AssertionError(f"{cell} was never answered")

    with proxy.under(*rules.values()), ThreadPoolExecutor(6) as workers:
        came_to = list(workers.map(asked, cells))
    wrong = [
        f"{cell}: {came[:300]}, not {_expected(cell)}"
        for cell, came in zip(cells, came_to, strict=True)
        if came not in _expected(cell)
    ]
    assert wrong == []
    assert stranger.asked == []


def _expected(cell: Cell) -> set[str]:
    for (call, begins), (comes_to, _) in _EXCEPTIONS.items():
        elsewhere = cell.kind == "other hosts" and comes_to == "missing"
        if cell.call is call and cell.answer_name.startswith(begins) and not elsewhere:
            return {comes_to}
    return _UNDECIDED.get(cell.call, {"undecided"})
