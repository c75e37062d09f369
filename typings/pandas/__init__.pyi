"""What the pipeline uses of pandas, which brings no types of its own."""

from collections.abc import Mapping, Sequence
from datetime import date

class Timestamp:
    def __init__(self, value: date) -> None: ...

class DataFrame:
    def __init__(self, data: Mapping[str, Sequence[object]]) -> None: ...
