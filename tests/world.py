"""The demo world for tests: really served, on a port and in a folder of its own."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from brain import portal
from brain.origin import ALIAS
from orchestrator_site.demo.origin import TABLE, create_origin
from orchestrator_site.demo.world.application import serve

EMAIL = "bot@multivia.example"
PASSWORD = "clave-de-prueba"


@dataclass(frozen=True)
class World:
    """Where it is served, and the origin that its intranet shows."""

    url: str
    origin: Path

    @property
    def intranet(self) -> str:
        return f"{self.url}/intranet/xvia-grupoeuropa/public"

    def add_case(self, id: int, **values: Any) -> None:
        """A free case, unless `values` say otherwise."""
        row = {"idRecurso": id, "Organisme": "XALOC GIRONA", "TExp": 2, "Estado": 0}
        row |= {"Expedient": f"2025/{id:06d}-MUL", **values}
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" for _ in row)
        with closing(sqlite3.connect(self.origin)) as database, database:
            database.execute(
                f'INSERT INTO "{TABLE}" ({names}) VALUES ({marks})', tuple(row.values())
            )

    def state(self, id: int) -> tuple[int, int, str | None]:
        """TExp, Estado and UsuarioAsignado as the origin has them."""
        with closing(sqlite3.connect(self.origin)) as database:
            return database.execute(
                f'SELECT "TExp", "Estado", "UsuarioAsignado" FROM "{TABLE}" WHERE "idRecurso" = ?',
                (id,),
            ).fetchone()


@pytest.fixture(scope="session")
def world_url() -> str:
    """The server; it looks up where its files are with each request."""
    server = serve("127.0.0.1", 0)
    threading.Thread(target=server.run, name="demo-world", daemon=True).start()
    return f"http://127.0.0.1:{server.effective_port}"


@pytest.fixture
def world_files(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """The world's books and credentials, and nothing refused yet.

    With `world_url` it is the world on whatever origin the alias points at; rows of a test's
    open transaction are invisible to it, so such a test needs `django_db(transaction=True)`.
    """
    settings.DATA_DIR = tmp_path
    settings.XVIA_EMAIL, settings.XVIA_PASSWORD = EMAIL, PASSWORD
    portal.refusals.clear()
    yield tmp_path
    portal.refusals.clear()


@pytest.fixture
def world(world_url: str, world_files: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with an origin of its own, which needs none of Django's connections."""
    origin = create_origin(world_files / "own-origin.sqlite3")
    monkeypatch.setitem(connections[ALIAS].settings_dict, "NAME", f"file:{origin}?mode=rw")
    return World(world_url, origin)
