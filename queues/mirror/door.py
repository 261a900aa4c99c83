"""The door to Mongo: one client a process, and how its values are read."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from django.conf import settings
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from orchestrator_site.logs import redact
from queues.mirror.kinds import Place

__all__ = ["LENIENT", "RAW", "STRICT", "PyMongoError", "client", "collection", "is_configured"]

NOTICED = 5000  # milliseconds until a server that is away is given up for now
LONGEST = 30_000  # milliseconds for one answer
STRICT: CodecOptions[Any] = CodecOptions(tz_aware=True)
# Reads what others would stumble over: what is odd in a field that nobody asks for is no trouble.
LENIENT: CodecOptions[Any] = STRICT.with_options(
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
# Undecoded: what is wrong in a document is found when it is looked into.
RAW: CodecOptions[Any] = LENIENT.with_options(document_class=RawBSONDocument)
LONGEST_TOLD = 300  # characters of an error


def told(error: Exception) -> str:
    """What went wrong, for staff: without what the driver says of itself, and without secrets."""
    text = redact(str(error)).partition(", Timeout:")[0].partition(", full error:")[0]
    return text.partition(", Topology Description:")[0][:LONGEST_TOLD]


def is_configured() -> bool:
    return bool(settings.MONGODB_URI)


def client() -> MongoClient[Any]:
    """This process's own: a client does not survive a fork."""
    return _client(settings.MONGODB_URI, os.getpid())


def collection(place: Place, read: CodecOptions[Any] = STRICT) -> Collection[Any]:
    """Dates are read with their zone, as UTC."""
    database, name = place
    return client().get_database(settings.MONGODB_DATABASES[database], read)[name]


@cache
def _client(uri: str, _process: int) -> MongoClient[Any]:
    return MongoClient(
        uri,
        appname="orchestrator",
        serverSelectionTimeoutMS=NOTICED,
        connectTimeoutMS=NOTICED,
        socketTimeoutMS=LONGEST,
    )
