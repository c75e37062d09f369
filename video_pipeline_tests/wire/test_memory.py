"""Huge answers to every question of a day: they fill no memory, and no state is wrong for them."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from video_pipeline.clips import ClipStatus
from video_pipeline.ledger import JobState, Ledger, PublicationState
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.wire import answers as wild
from video_pipeline_tests.wire.channel import Channel
from video_pipeline_tests.wire.conftest import NewStage
from video_pipeline_tests.wire.hungry import Day
from video_pipeline_tests.wire.proxy import Answering, Call, Proxy, Rule

_LIMIT_MB = 400
_HUGE: tuple[Answering, ...] = (
    wild.endless,
    wild.gigabytes_declared,
    wild.gzip_bomb_of_9_gib,
    wild.nested_gzip_bomb,
    wild.many_values,
    wild.many_items,
    wild.wide_words,
)
_AT_PROVIDER = {JobState.SUBMITTED, JobState.PROCESSING}
# What a job comes to whose questions are answered so for as long as they are asked. The history is asked for when
# nobody can read the answer to a submit, and answers so, too.
_ENDS: dict[Call, set[JobState]] = {
    # Nobody can be asked about it either, so the next run asks again.
    Call.SUBMIT: {JobState.SUBMITTING},
    Call.STATUS: _AT_PROVIDER,
    Call.RESULT: _AT_PROVIDER,
    Call.DOWNLOAD: {JobState.RENDERED},
}
_EACH = 3
_PROMPTS = {f"The {call} of whale {number}": call for call in _ENDS for number in range(_EACH)}
# The clip of this name goes public, and the numbers are asked for; the others have trouble where their names say.
_PLAIN = "Plain"
_TITLES = ("Open", "Send", "Ask", _PLAIN)


_FIRST = count()


def _huge() -> Answering:
    """Each time another of them, and not always the same first."""
    first = next(_FIRST) % len(_HUGE)
    return wild.one_after_another(*_HUGE[first:], *_HUGE[:first])


@contextmanager
def _process(day: Day) -> Iterator[Callable[[str], float]]:
    """Tells a process what to do; gives the peak of its memory after that, in MB."""
    command = [sys.executable, "-m", "video_pipeline_tests.wire.hungry", day.argument()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        tell, hear = process.stdin, process.stdout

        def told(what: str) -> float:
            print(what, file=tell, flush=True)
            return int(hear.readline()) / 1024

        yield told
        tell.close()
        assert process.wait(30) == 0


def _until_used(rules: list[Rule], go_on: Callable[[], float]) -> float:
    """Go on until every answer was given; a machine under load may have come to nothing yet."""
    for _ in range(40):
        peak_mb = go_on()
        if all(rule.used for rule in rules):
            return peak_mb
    raise AssertionError(f"never answered: {[str(rule.call) for rule in rules if not rule.used]}")


def test_a_day_of_huge_answers_needs_little_memory_and_ends_right(
    new_stage: NewStage, ledger_of_module: Ledger, wild_store: LocalStore, module_edge: Edge, proxy: Proxy
) -> None:
    stage = new_stage()
    channel = Channel(ledger_of_module, wild_store, module_edge, proxy, stage.day, _TITLES)
    opened, sent, asked, plain = channel.titles
    making = [
        *(
            Rule(call, _huge(), None, passed_on=call is Call.SUBMIT, subject=prompt)
            for prompt, call in _PROMPTS.items()
        ),
        Rule(Call.HISTORY, _huge(), None),
    ]
    tokens = Rule(Call.TOKEN, _huge(), len(_HUGE))
    publishing = [
        tokens,
        Rule(Call.OPEN, _huge(), None, subject=opened),
        Rule(Call.SEND, _huge(), None, subject=sent),
        Rule(Call.SEND, wild.hangs_up, None, passed_on=True, subject=asked),
        Rule(Call.ASK, _huge(), None, subject=asked),
    ]
    counting = [Rule(Call.METRICS, _huge(), None), Rule(Call.ANALYTICS, _huge(), None)]
    day = Day(
        ledger_url=ledger_of_module.engine.url.render_as_string(hide_password=False),
        store=str(wild_store.root),
        sandbox=module_edge.base_url,
        proxy=proxy.base_url,
        day=stage.day.isoformat(),
        prompts=tuple(_PROMPTS),
        titles=_TITLES,
    )
    with _process(day) as told, proxy.under(*making, *publishing, *counting):
        start_mb = told("")
        made_mb = _until_used(making, lambda: told("make"))
        _until_used([tokens], lambda: told("publish"))
        _until_used(publishing, lambda: told("publish"))
        peak_mb = _until_used(counting[:1], lambda: told("count"))
        with proxy.under(*counting[1:]):
            peak_mb = _until_used(counting[1:], lambda: told("count"))
    assert peak_mb < _LIMIT_MB, (
        f"{start_mb:.0f} MB at its start, {made_mb:.0f} with clips made, {peak_mb:.0f} at its end"
    )
    states = {prompt: stage.job(prompt).state for prompt in _PROMPTS}
    assert [prompt for prompt, call in _PROMPTS.items() if states[prompt] not in _ENDS[call]] == [], states
    stage.check_money()
    under_way = {title: channel.publication(title).state for title in (opened, sent, asked)}
    assert under_way == dict.fromkeys((opened, sent, asked), PublicationState.PUBLISHING)
    assert channel.publication(plain).state is PublicationState.PUBLISHED

    # With answers as usual all of it comes to its end, and nothing is bought or published a second time.
    stage.a_person_looks()
    briefs = [brief_of(prompt, brief_id=f"huge-{number}") for number, prompt in enumerate(_PROMPTS)]
    assert {clip.status for clip in stage.generate(*briefs, limit_s=30)} == {ClipStatus.GENERATED}
    assert [len(stage.bought(prompt)) for prompt in _PROMPTS] == [1] * len(_PROMPTS)
    stage.check_books()
    for _ in range(3):
        channel.run()
    assert [len(channel.videos(title)) for title in channel.titles] == [1] * len(_TITLES)
    published = {channel.publication(title).state for title in channel.titles}
    assert published == {PublicationState.PUBLISHED}
