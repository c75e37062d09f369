"""Runs an iterator in a thread of its own, with a bounded number of items waiting for the consumer."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterator[Item], depth: int) -> Generator[Item, None, None]:
    """Run `items` in a thread of its own. At most `depth` items wait at any time, and one more is in the thread.

    An error in `items` is raised here. Closing this generator stops the thread and closes `items`.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def offer(item: Item | None, error: BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                waiting.put((item, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not offer(item, None):
                    break
            else:
                offer(None, StopIteration())
        # Every error is passed on to the consumer, which raises it again.
        except BaseException as error:
            offer(None, error)
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # pyright: ignore[reportReturnType]  # None only beside an error
    finally:
        stopped.set()
        thread.join()
