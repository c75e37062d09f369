"""Every question of the ComfyUI server, with every kind of wild answer: none of them decides anything.

Apart from the other providers, as it is asked for history, queue and submit, and has no word for a job that is gone.
"""

import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from video_pipeline.generation import Provider
from video_pipeline.generation.providers import JobFailed, NotAccepted, SubmitUnknown, Undecided, comfyui
from video_pipeline.ledger import Job
from video_pipeline.orders import sha256_of
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline_tests.contract.answering import Answering as Stranger
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.contract.vendors import offered_by
from video_pipeline_tests.wire.proxy import Call, Proxy, Rule
from video_pipeline_tests.wire.test_wild_matrix import KINDS, answers

pytestmark = pytest.mark.usefixtures("impatient")

Ask = Callable[[Provider, Job], Coroutine[Any, Any, Any]]


def _entry(prompt_id: str) -> dict[str, Any]:
    """The least that a history tells of a request that has ended."""
    outputs = {"save": {"images": [{"filename": "x.mp4", "type": "output"}]}}
    status = {"status_str": "success", "completed": True}
    return {prompt_id: {"outputs": outputs, "status": status}}


# What is asked, the least of a good answer, and what a wild one comes to.
QUESTIONS: dict[str, tuple[Ask, Callable[[str], dict[str, Any] | None], str]] = {
    "submit": (lambda server, job: server.submit(job), lambda _: {"prompt_id": "a-prompt"}, "unknown"),
    "poll": (lambda server, job: server.poll(job), _entry, "undecided"),
    "result": (lambda server, job: server.result(job), _entry, "undecided"),
    "cancel": (lambda server, job: server.cancel(job), lambda _: None, "said"),
}
# Nobody has the id, and that is what an empty history says.
GONE = ("poll", "200 {}")


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_wild_answer_decides_anything(
    question: str,
    proxy: Proxy,
    stranger: Stranger,
    module_edge: Edge,
    sandbox_catalogue: Catalogue,
    policy: Policy,
) -> None:
    ask, good, expected = QUESTIONS[question]
    planned = job_of(brief_of("A lake"), offered_by(sandbox_catalogue, "comfyui"), policy)
    stranger.asked.clear()
    before = len(module_edge.requests())
    cells, jobs = [], []
    for kind in KINDS:
        for number in range(len(answers(kind, stranger.base_url, good("any")))):
            name = str(uuid.uuid4())
            cells.append([*answers(kind, stranger.base_url, good(name)).items()][number])
            jobs.append(replace(planned, key=sha256_of({"job": name}), provider_job_id=name, receipt={}))
    # Our key stands in the submit itself, and only its id in the look-ups before that.
    within = [job.key if question == "submit" else job.provider_job_id or "" for job in jobs]
    rules = [Rule(Call.OTHER, cell[1], None, within=words) for cell, words in zip(cells, within, strict=True)]

    def asked(number: int) -> str:
        # A machine under load may have given up before the answer began.
        for _ in range(20):
            came_to = anyio.run(_come_to, ask, proxy.base_url, jobs[number])
            if rules[number].used:
                return came_to
        raise AssertionError(f"{cells[number][0]} was never answered")

    with proxy.under(*rules), ThreadPoolExecutor(16) as workers:
        came_to = list(workers.map(asked, range(len(cells))))
    wrong = [
        f"{told}: {came}"
        for (told, _), came in zip(cells, came_to, strict=True)
        if came != ("failed" if (question, told) == GONE else expected)
        # Whether a request has ended is not for its outputs to say.
        and not (came == "True" and ".outputs" in told)
    ]
    assert wrong == []
    assert stranger.asked == []
    assert len(module_edge.requests()) == before


async def _come_to(ask: Ask, base_url: str, job: Job) -> str:
    """What a question comes to, in a word."""
    words = {NotAccepted: "not accepted", SubmitUnknown: "unknown", Undecided: "undecided", JobFailed: "failed"}
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        try:
            said = await ask(comfyui.VENDOR.connect_sandbox(base_url, client), job)
        except tuple(words) as error:
            return words[type(error)]
    return "said" if said is None else f"{said}"
