"""Several clips on one engine at a time: how many, and in which order their results come."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Each clip in flight keeps about four cores at its encoder; with fewer, the network itself needs them.
_CORES_A_CLIP, _MOST_CLIPS = 4, 4


def run_concurrently(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """`work` of each item, in their order; on a GPU several at a time, so that the opening, encoding and writing of
    one hides behind the network's work on another. The first error ends it, and nothing more is begun.
    """
    import torch

    at_a_time = clips_at_a_time(os.cpu_count() or 1, gpu=torch.cuda.is_available())
    pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="upscale")
    try:
        for future in [pool.submit(work, item) for item in items]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def clips_at_a_time(cores: int, *, gpu: bool) -> int:
    """As many as there are cores for beside a GPU; on the CPU one, whose network takes all cores."""
    return max(1, min(_MOST_CLIPS, cores // _CORES_A_CLIP)) if gpu else 1
