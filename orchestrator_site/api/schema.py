"""The OpenAPI document: every operation tells the errors that it can answer with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
ERROR = "Error"  # the component of views.ErrorSerializer
BAD_INPUT, NO_KEY, NOT_ALLOWED, NOT_THERE = 400, 401, 403, 404
CONFLICT, TOO_LARGE, TOO_MANY = 409, 413, 429


def tell_errors(result: dict[str, Any], **_given: Any) -> dict[str, Any]:
    """A hook of drf-spectacular's: what views have in common need not be said at each."""
    described = {"$ref": f"#/components/schemas/{ERROR}"}
    answer = {"description": "", "content": {"application/json": {"schema": described}}}
    for path, operations in result["paths"].items():
        for method in METHODS:
            if operation := operations.get(method):
                for status in _errors(path, method, operation):
                    operation["responses"].setdefault(str(status), answer)
    return result


def _errors(path: str, method: str, operation: dict[str, Any]) -> Iterator[int]:
    yield from (BAD_INPUT, NOT_ALLOWED, TOO_MANY)
    if operation.get("security"):
        yield NO_KEY
    if "{" in path or "cursor" in {one["name"] for one in operation.get("parameters", ())}:
        yield NOT_THERE
    if method != "get":
        yield from (CONFLICT, TOO_LARGE)
