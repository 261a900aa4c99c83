"""The demo world's virtual offices, really served, with a user of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from postprocessing.models import companies

USER, PASSWORD = "lector", "clave"


@pytest.fixture
def office(world_url: str, world_files: Path, settings: Any) -> str:
    """The world's address; every company's site is in it, with invented complaints."""
    settings.PQR_SITES = {
        one.name: {
            "url": f"{world_url}/oficina/{one.name}/",
            "user": USER,
            "password": PASSWORD,
        }
        for one in companies()
    }
    return world_url
