"""Real parts that the tests need: missing is a loud skip by name, and in CI a failure."""

from __future__ import annotations

import os

import pytest

from orchestrator_site.installing import PARTS, is_there


def require(name: str) -> None:
    """Skip the test, or fail it in CI, where the machine has no such part."""
    part = next(part for part in PARTS if part.name == name)
    if is_there(part):
        return
    text = f"MISSING {name}: install {' '.join(part.packages)} ({part.why})"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
