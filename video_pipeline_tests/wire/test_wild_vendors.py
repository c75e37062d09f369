"""Every question of every provider whose result comes with its status, with every kind of wild answer.

As `test_wild_matrix.py` does it for the first provider: none of the answers decides anything.
"""

import json
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from video_pipeline.clips import ClipStatus
from video_pipeline.generation import PROVIDERS, Provider
from video_pipeline.generation.providers import JobFailed, NotAccepted, Recovery, SubmitUnknown, Undecided
from video_pipeline.ledger import Job, JobState
from video_pipeline.policy import Policy, ProviderLimits
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.answering import Answering as Stranger
from video_pipeline_tests.contract.orders import job_of
from video_pipeline_tests.contract.vendors import brief_for, recovery_at, sold_by
from video_pipeline_tests.generation.stage import let_probe
from video_pipeline_tests.wire import answers as wild
from video_pipeline_tests.wire.canaries import held_in
from video_pipeline_tests.wire.conftest import NewStage, WildStage
from video_pipeline_tests.wire.proxy import Call, Proxy, Rule
from video_pipeline_tests.wire.test_wild_matrix import KINDS, answers

pytestmark = pytest.mark.usefixtures("impatient")

KEY = "canary-vendor-77ab01c4"
GOOD: dict[str, dict[str, dict[str, Any]]] = {
    "runway": {
        "submit": {"id": "a-task"},
        "poll": {"status": "SUCCEEDED"},
        "result": {"status": "SUCCEEDED", "output": ["https://media.example/x.mp4"]},
    },
    "higgsfield": {
        "submit": {"request_id": "a-request"},
        "poll": {"status": "completed"},
        "result": {"status": "completed", "video": {"url": "https://media.example/x.mp4"}},
    },
    "xai": {
        "submit": {"request_id": "a-request"},
        "poll": {"status": "done"},
        "result": {"status": "done", "video": {"url": "https://media.example/x.mp4"}},
    },
    "heygen": {
        "submit": {"data": {"video_id": "a-video"}},
        "poll": {"data": {"status": "completed"}},
        "result": {"data": {"status": "completed", "video_url": "https://media.example/x.mp4"}},
    },
    "dashscope": {
        "submit": {"output": {"task_id": "a-task"}},
        "poll": {"output": {"task_status": "SUCCEEDED"}},
        "result": {"output": {"task_status": "SUCCEEDED", "video_url": "https://media.example/x.mp4"}},
        "find": {"data": [], "total_page": 1},
    },
}
"""What must be in the answer to a question, at least."""
EXCEPTIONS = {("higgsfield", "submit", "echo 400"): "not accepted, documented"}
"""(provider, question, what the name of an answer begins with) -> what it comes to, being in the vendor's words."""
EXPECTED = {"submit": "unknown", "poll": "undecided", "result": "undecided", "cancel": "said", "find": "undecided"}
Ask = Callable[[Provider, Job], Coroutine[Any, Any, Any]]
QUESTIONS: dict[str, tuple[Call, Ask]] = {
    "submit": (Call.SUBMIT, lambda provider, job: provider.submit(job)),
    "poll": (Call.STATUS, lambda provider, job: provider.poll(job)),
    "result": (Call.STATUS, lambda provider, job: provider.result(job)),
    "cancel": (Call.CANCEL, lambda provider, job: provider.cancel(job)),
    "find": (Call.HISTORY, lambda provider, job: provider.find(job, known_ids=frozenset())),
}
ASKED = [(name, asked) for name, good in GOOD.items() for asked in QUESTIONS if asked != "find" or asked in good]


@pytest.mark.parametrize(("name", "question"), ASKED)
def test_no_wild_answer_decides_anything(
    name: str,
    question: str,
    proxy: Proxy,
    stranger: Stranger,
    sandbox_catalogue: Catalogue,
    policy: Policy,
) -> None:
    call, ask = QUESTIONS[question]
    job = job_of(brief_for(name, "A lake"), sold_by(sandbox_catalogue, name), policy)
    stranger.asked.clear()
    cells = [
        (kind, told, answer, str(uuid.uuid4()))
        for kind in KINDS
        for told, answer in answers(kind, stranger.base_url, GOOD[name].get(question)).items()
    ]
    rules = [Rule(call, answer, None, within=within) for _, _, answer, within in cells]

    def asked(number: int) -> str:
        # A machine under load may have given up before the answer began.
        for _ in range(20):
            came_to = anyio.run(_come_to, name, call, ask, proxy.base_url, job, cells[number][3])
            if rules[number].used or question == "cancel":
                return came_to
        raise AssertionError(f"{cells[number][:2]} was never answered")

    with proxy.under(*rules), ThreadPoolExecutor(16) as workers:
        came_to = list(workers.map(asked, range(len(cells))))
    wrong = [
        f"{kind}, {told}: {came[:300]}"
        for (kind, told, _, _), came in zip(cells, came_to, strict=True)
        if not _is_expected(came, name, question, told)
    ]
    assert wrong == []
    assert stranger.asked == []


def _is_expected(came: str, name: str, question: str, told: str) -> bool:
    for (vendor, asked, begins), comes_to in EXCEPTIONS.items():
        if (vendor, asked) == (name, question) and told.startswith(begins):
            return came.startswith(comes_to) and "it tells" not in came
    return came == EXPECTED[question]


async def _come_to(name: str, call: Call, ask: Ask, base_url: str, job: Job, within: str) -> str:
    """What a question with `within` in it comes to, in a word; and whether a secret is told."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        provider = _connected(name, f"{base_url}/{name}", client)
        # Wherever the vendor has the prompt; and a list is asked for by the model's name.
        request = json.loads(json.dumps(job.request).replace('"A lake"', json.dumps(within)))
        changed = replace(job, request=request | ({"endpoint": within} if call is Call.HISTORY else {}))
        bought = provider.receipt(changed, within)
        changed = replace(changed, provider_job_id=within, receipt=bought.document)
        try:
            said = await ask(provider, changed)
        except NotAccepted as error:
            return f"not accepted, {'documented' if error.documented else 'undocumented'}: {error}{_told(error)}"
        except SubmitUnknown as error:
            return f"unknown{_told(error)}"
        except Undecided as error:
            return f"undecided{_told(error)}"
        except JobFailed as error:
            return f"failed: {error}"
        return "said" if said is None else f"{said}"


def _connected(name: str, api_url: str, client: httpx.AsyncClient) -> Provider:
    """The adapter with a key that must be seen nowhere."""
    section = PROVIDERS[name].section
    keys = {field: KEY for field, about in section.model_fields.items() if about.annotation == SecretStr | None}
    provider = PROVIDERS[name].connect(section(api_url=api_url, **keys), client)
    assert provider is not None
    return provider


def _told(error: NotAccepted | SubmitUnknown | Undecided) -> str:
    held = held_in(f"{error} {json.dumps(error.answer)}", (KEY,))
    return f", and it tells {held}" if held else ""


# --- whole days, with a ledger -------------------------------------------------------------------------------------


@dataclass
class VendorStage(WildStage):
    """A stage whose models are one provider's, met through the proxy."""

    def connect(self, client: httpx.AsyncClient) -> dict[str, Provider]:
        [name] = self.providers
        return {name: PROVIDERS[name].connect_sandbox(self.proxy.base_url, client)}


@pytest.fixture(params=GOOD)
def vendor_stage(request: pytest.FixtureRequest, new_stage: NewStage) -> VendorStage:
    like, name = new_stage(), request.param
    limits = {name: ProviderLimits(concurrency=16, poll_interval_s=0.02)}
    generation = like.policy.generation.model_copy(update={"providers": limits})
    return VendorStage(
        like.ledger,
        like.store,
        like.edge,
        sold_by(like.catalogue, name),
        like.policy.model_copy(update={"generation": generation}),
        providers=(name,),
        proxy=like.proxy,
    )


@pytest.mark.parametrize("answer", ["200 html", "hangs up", "429 words", "gzip bomb", "echo 500"])
def test_a_wild_answer_to_a_submit_buys_nothing_twice(vendor_stage: VendorStage, answer: str) -> None:
    """Taken, and its answer says nothing: the key finds it, or the list does in time, or a person does."""
    prompt = f"A tide mill, {answer}"
    rule = Rule(Call.SUBMIT, wild.NONSENSE[answer], passed_on=True, subject=prompt)
    [name] = vendor_stage.providers
    brief = brief_for(name, prompt)
    with vendor_stage.proxy.under(rule):
        clip = vendor_stage.one(brief)
    assert rule.used == 1
    vendor_stage.check_money()
    [job] = vendor_stage.jobs()
    if recovery_at(name) is Recovery.IDEMPOTENCY_KEY:
        assert (clip.status, job.state) == (ClipStatus.GENERATED, JobState.ACCEPTED)
        vendor_stage.check_books()
    elif recovery_at(name) is Recovery.SEARCH:
        for _ in range(40):
            let_probe(vendor_stage.ledger)
            if vendor_stage.one(brief).status is ClipStatus.GENERATED:
                break
        assert vendor_stage.job(prompt).state is JobState.ACCEPTED
        vendor_stage.check_books()
    else:
        assert (clip.status, job.state) == (ClipStatus.REVIEW, JobState.UNKNOWN)
        vendor_stage.a_person_looks()
        assert vendor_stage.one(brief).status is ClipStatus.GENERATED
        vendor_stage.check_books()
    assert len(vendor_stage.bought(prompt)) == 1


@pytest.mark.parametrize(
    ("call", "answer"),
    [(Call.STATUS, "200 html"), (Call.STATUS, "404 html"), (Call.STATUS, "drips"), (Call.DOWNLOAD, "200 html")],
)
def test_a_wild_answer_to_a_read_is_asked_again(vendor_stage: VendorStage, call: Call, answer: str) -> None:
    prompt = f"A weir, {call}, {answer}"
    rule = Rule(call, wild.NONSENSE[answer], 2, passed_on=True, subject=prompt)
    with vendor_stage.proxy.under(rule):
        clip = vendor_stage.one(brief_for(vendor_stage.providers[0], prompt))
    assert rule.used == 2
    assert clip.status is ClipStatus.GENERATED
    vendor_stage.check_books()
    assert len(vendor_stage.bought(prompt)) == 1
