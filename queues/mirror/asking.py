"""Asking Mongo while a person waits for the page: briefly, and not again and again in vain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pymongo
from django.conf import settings
from django.utils.translation import gettext as _
from pymongo.errors import OperationFailure

from queues.mirror import door

PATIENCE = 1.5  # seconds for all that is asked at once
REST = 5.0  # seconds in which a Mongo that did not answer is not asked again
_away: dict[str, tuple[float, str]] = {}  # by address: until when it is left alone, and why


class Away(Exception):
    """Mongo cannot be asked now; the text is a sentence for staff that says why."""


@contextmanager
def briefly() -> Iterator[None]:
    """What is asked of Mongo within ends in time. Raises Away."""
    if not door.is_configured():
        raise Away(_("There is no mirror: MONGODB_URI is not set."))
    uri = settings.MONGODB_URI
    until, why = _away.get(uri, (0.0, ""))
    if time.monotonic() < until:
        raise Away(why)
    try:
        with pymongo.timeout(PATIENCE):
            yield
    except OperationFailure as error:  # it answered, but for one that took too long
        if not error.timeout:
            raise Away(_("Mongo refuses: %s") % door.told(error)) from error
        raise _gone(uri, error) from error
    except door.PyMongoError as error:
        raise _gone(uri, error) from error
    _away.pop(uri, None)


def _gone(uri: str, error: Exception) -> Away:
    why = _("Mongo does not answer: %s") % door.told(error)
    _away[uri] = (time.monotonic() + REST, why)
    return Away(why)
