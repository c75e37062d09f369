"""A call to a platform that is free to repeat: asked again, with a pause, until there is an answer to go by."""

import logging
import time
from collections.abc import Callable, Sequence

from video_pipeline.publishing.platforms.protocol import UploadInterrupted
from video_pipeline.wire import Answer, NoAnswer, NotSent, Stranger, Unsendable

_LOG = logging.getLogger(__name__)


def repeated(
    ask: Callable[[], Answer], *, waits_s: Sequence[float], no_word: Callable[[Answer], str | None]
) -> Answer:
    """The first answer to `ask` of which `no_word` gives None, or the last one; `waits_s` are before the next tries.

    `no_word` says of an answer that another try may do better. Raises UploadInterrupted when none comes at all.
    """
    for wait_s in (*waits_s, None):
        try:
            answer = ask()
        except (Stranger, Unsendable) as error:
            raise UploadInterrupted(str(error)) from None
        except (NotSent, NoAnswer) as error:
            if wait_s is None:
                raise UploadInterrupted(str(error)) from None
            said = str(error)
        else:
            again = None if wait_s is None else no_word(answer)
            if again is None:
                return answer
            said = again
        _LOG.warning("%s; it is asked again in %g s", said, wait_s)
        time.sleep(wait_s or 0)
    raise AssertionError("the last try returns")
