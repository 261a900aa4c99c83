"""The door to Mongo: one client a process, and how its values are read."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from django.conf import settings
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from queues.mirror.kinds import Place

__all__ = ["PyMongoError", "client", "collection", "is_configured", "raw_collection"]

NOTICED = 5000  # milliseconds until a server that is away is given up for now
LONGEST = 30_000  # milliseconds for one answer
_OPTIONS: CodecOptions[Any] = CodecOptions(tz_aware=True)
_RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument, tz_aware=True)


def is_configured() -> bool:
    return bool(settings.MONGODB_URI)


def client() -> MongoClient[Any]:
    """This process's own: a client does not survive a fork."""
    return _client(settings.MONGODB_URI, os.getpid())


def collection(place: Place) -> Collection[Any]:
    """Dates are read with their zone, as UTC."""
    database, name = place
    return client().get_database(settings.MONGODB_DATABASES[database], _OPTIONS)[name]


def raw_collection(place: Place) -> Collection[Any]:
    """The same, its documents undecoded: what is wrong in one is found when it is looked into."""
    return collection(place).with_options(_RAW)


@cache
def _client(uri: str, _process: int) -> MongoClient[Any]:
    return MongoClient(
        uri,
        appname="orchestrator",
        serverSelectionTimeoutMS=NOTICED,
        connectTimeoutMS=NOTICED,
        socketTimeoutMS=LONGEST,
    )
