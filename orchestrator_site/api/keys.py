"""Keys that came in a moment ago: who only reads is neither looked up nor asked for rights again.

A script that reads page after page would spend more of the database on who it is than on what it
reads. So a key and its user's rights are kept in this process for API_KEY_SECONDS. Whoever writes
is always looked up: what is withdrawn changes nothing from then on, and reads that much longer.
"""

from __future__ import annotations

import hashlib
import time

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS

from orchestrator_site.models import ApiKey

MOST = 1000  # keys kept; then those of the moment are begun anew
_kept: dict[bytes, tuple[float, ApiKey]] = {}


def find(key: str, method: str | None) -> ApiKey | None:
    """The live row of a key with its user; None where the key is unknown, expired or disabled."""
    if method not in SAFE_METHODS or not settings.API_KEY_SECONDS:
        return ApiKey.of(key)
    digest = hashlib.sha256(key.encode()).digest()
    now = time.monotonic()
    at, row = _kept.get(digest, (0.0, None))
    if row is not None and now - at < settings.API_KEY_SECONDS:
        return row
    found = ApiKey.of(key)
    if found is None:
        _kept.pop(digest, None)
    else:
        if len(_kept) >= MOST:
            _kept.clear()
        _kept[digest] = now, found
    return found
