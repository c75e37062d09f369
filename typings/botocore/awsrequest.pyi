"""The requests and replies that botocore's event hooks see, untyped."""

from typing import Any

def __getattr__(name: str) -> Any: ...
