"""How long a script takes to say: an estimate from its letters, for the plan and for who writes the brief.

A property of speech, not of any vendor. A voice may be a quarter quicker or slower.
"""

import re

# Of Han characters and kana people say about four a second; of other scripts 2.5 words a second (150 a minute), which
# is about 15 letters, so that long German words take longer than short English ones.
_SIGN = re.compile(r"[぀-ヿ㐀-䶿一-鿿豈-﫿가-힯]")
_SIGNS_A_S = 4.0
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_WORDS_A_S = 2.5
_LETTERS_A_S = 15.0
# A breath at the end of a sentence, half of one at a comma.
_PAUSES_S = {**dict.fromkeys(".!?。！？…\n", 0.35), **dict.fromkeys(",;:，；：、", 0.15)}
_LEAST_S = 1.0

PACE_TOLERANCE = 0.35
"""The share by which a voice may take more or less time than the estimate, at the utmost."""


def spoken_s(script: str) -> float:
    """Seconds that `script` takes to say, to a tenth; at least one."""
    signs = len(_SIGN.findall(script))
    words = _WORD.findall(_SIGN.sub(" ", script))
    # Each way of counting is right for some languages; between them for most.
    said_s = (len(words) / _WORDS_A_S + sum(map(len, words)) / _LETTERS_A_S) / 2 + signs / _SIGNS_A_S
    inner = script.strip().rstrip(".!?。！？…")
    return max(_LEAST_S, round(said_s + sum(_PAUSES_S.get(mark, 0.0) for mark in inner), 1))
