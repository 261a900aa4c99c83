"""The one snapshot of the running state: taken once in OVERVIEW_SECONDS for all who look.

It is kept in the cache, which the processes of a host share (with Redis, of all hosts): who finds
it too old takes the next one, the others go on with the old one meanwhile. What takes longer to
count is counted again at most so often that it takes up a fiftieth of the time.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from orchestrator_site import row_security
from orchestrator_site.clock import midnight
from orchestrator_site.dashboard import figures
from orchestrator_site.dashboard.live import Snapshot
from orchestrator_site.dashboard.numbers import moment
from queues.models import DistributionConfig

KEY, LOCK = "overview", "overview-lock"
TOO_OLD = 30.0  # seconds: not shown while somebody else takes the next
KEPT = 24 * 3600
SHARE_OF_THE_DAY, LONGEST_DAY = 50, 60.0
Kept = dict[str, Any]
_lock = threading.Lock()
_held: Kept = {}  # the last one that this process has seen


def current() -> Snapshot:
    """As of now, or of a moment ago."""
    if _is_fresh(_held):
        return _held["snapshot"]
    kept = _look()
    if _is_fresh(kept) or not _is_mine(kept):
        return kept["snapshot"]
    try:
        return _take(kept)
    finally:
        cache.delete(LOCK)
        _lock.release()


def seen() -> Snapshot | None:
    """The last one, however old, without asking the database; None: there is none yet."""
    kept = _held if _is_fresh(_held) else _look()
    return kept.get("snapshot")


def with_times(data: Any) -> Any:
    """Data of a snapshot with its times as such, which JSON has as text."""
    if isinstance(data, list):
        return [with_times(one) for one in data]
    if not isinstance(data, dict):
        return data
    return {
        name: moment(value) if name.endswith("_at") else with_times(value)
        for name, value in data.items()
    }


def forget() -> None:
    """Somebody has changed what it says: who looks next is shown that."""
    _held.clear()
    cache.delete(KEY)


def _look() -> Kept:
    """What the cache has. Another process's is parsed once."""
    kept = cache.get(KEY) or {}
    if kept and kept["taken"] != _held.get("taken"):
        _held.clear()
        _held.update(kept, snapshot=Snapshot(kept["version"], kept["data"]))
    return dict(_held) if kept else {}


def _is_fresh(kept: Kept) -> bool:
    return bool(kept) and 0 <= time.time() - kept["taken"] < settings.OVERVIEW_SECONDS


def _is_mine(kept: Kept) -> bool:
    """Whether to take the next one; with nothing to show meanwhile, whatever others do."""
    has_one = bool(kept) and time.time() - kept["taken"] < TOO_OLD
    if not _lock.acquire(blocking=not has_one):
        return False
    if has_one and not cache.add(LOCK, 1, timeout=10):
        _lock.release()
        return False
    return True


def _take(kept: Kept) -> Snapshot:
    latest = _look()
    if _is_fresh(latest):  # somebody has, while this one waited
        return latest["snapshot"]
    began, now = time.time(), timezone.now()
    day = _day_of(kept, began)
    with row_security.seen_as(row_security.ALL):
        data = _plain(figures.read(now, day, _hours(kept)))
    ended = time.time()
    text = json.dumps(data, sort_keys=True)
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    day_until = kept["day_until"] if day else _day_until(began, ended)
    new = {"taken": ended, "version": version, "data": data, "day_until": day_until}
    cache.set(KEY, new, KEPT)
    snapshot = Snapshot(version, data)
    _held.clear()
    _held.update(new, snapshot=snapshot)
    return snapshot


def _day_of(kept: Kept, now: float) -> dict[str, Any] | None:
    """What was counted of the day, while it is good: never over midnight."""
    if not kept or now >= kept["day_until"]:
        return None
    day: dict[str, Any] = kept["data"]["day"]
    return day if day["since_at"] == _plain(midnight(timezone.now())) else None


def _day_until(began: float, ended: float) -> float:
    took = ended - began
    return ended + min(SHARE_OF_THE_DAY * max(took, 0), LONGEST_DAY)


def _hours(kept: Kept) -> int:
    if kept:
        return int(kept["data"]["distribution"]["window_hours"])
    return (DistributionConfig.objects.first() or DistributionConfig()).window_hours


def _plain(value: Any) -> Any:
    """As JSON has it: the same whether it comes from the cache or has just been read."""
    return json.loads(json.dumps(value, cls=DjangoJSONEncoder))
