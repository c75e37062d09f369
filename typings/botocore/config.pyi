"""A client's configuration; its options are many and go through as they are."""

from typing import Any

class Config:
    def __init__(self, **options: Any) -> None: ...
