"""onnxruntime ships no types; what the project uses of it stays untyped."""

from typing import Any

def __getattr__(name: str) -> Any: ...
