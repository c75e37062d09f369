"""How tables of wild answers are written: answers by name, some of which need to know the stranger's address."""

from collections.abc import Callable
from dataclasses import dataclass

from video_pipeline_tests.wire.proxy import Answering


@dataclass(frozen=True)
class WithAddress:
    """Marks an answer that is made from the address of a server that is not the vendor's."""

    make: Callable[[str], Answering]


Answers = dict[str, Answering | WithAddress]


def made(answer: Answering | WithAddress) -> Callable[[str], Answering]:
    """Makes the answer, given the stranger's address."""
    return answer.make if isinstance(answer, WithAddress) else lambda _: answer


def picked(answers: Answers, names: str) -> list[tuple[str, Answering | WithAddress]]:
    """The answers that are named, separated by commas; all of them without names."""
    chosen = [name.strip() for name in names.split(",")] if names else list(answers)
    return [(name, answers[name]) for name in chosen]
