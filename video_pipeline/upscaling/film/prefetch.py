"""A stage of a chain in a thread of its own, with a bounded number of items between it and the next."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterator[Item], depth: int) -> Generator[Item, None, None]:
    """Run `items` in a thread of its own, at most `depth` of them waiting (and one in its hand) at any time.

    An error of `items` comes out here; closing this generator stops the thread and closes `items`.
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
        # Whatever it is, it belongs to the consumer, who re-raises it.
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
