"""A Mongo server for these tests, and the mirror switched on."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from queues.mirror import door
from queues.mirror.publishing import Publisher
from queues.models import MirrorState
from tests import mongo


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """A real MongoDB where MONGODB_TEST_URI names one, else the server of the tests' own."""
    if uri := mongo.configured():
        yield uri
        return
    try:
        with mongo.running() as server:
            yield server.uri
    except FileNotFoundError:
        if os.environ.get("CI"):
            raise
        pytest.skip("MISSING nx-27017: run make test")


@pytest.fixture
def mirrored(db: None, mongo_uri: str, settings: Any) -> Iterator[MongoClient[Any]]:
    """The mirror on, with two databases of this test's own."""
    mark = uuid.uuid4().hex[:12]
    settings.MONGODB_URI = mongo_uri
    settings.MONGODB_DATABASES = {"mini": f"mini_{mark}", "main": f"main_{mark}"}
    MirrorState.switch(True)
    client = door.client()
    yield client
    for name in ("mini", "main"):
        client.drop_database(f"{name}_{mark}")


@pytest.fixture
def publisher(mirrored: MongoClient[Any]) -> Publisher:
    return Publisher(epoch=1)
