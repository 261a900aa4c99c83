"""What time alone does to tasks, devices and people: looked after each minute."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from devices import stuck as silence
from orchestrator_site.clock import db_now
from queues import sentences, settling, stuck
from queues.models import DistributionConfig, NbcRecord

logger = logging.getLogger(__name__)
AT_ONCE = 500  # people in one statement


def keep() -> dict[str, int]:
    """Do it all, and count it. What breaks one thing breaks no other."""
    return {name: done(name, duty) for name, duty in DUTIES.items()}


def release_stuck() -> int:
    return sum(one.is_released for one in stuck.release_all_stuck())


def mark_silent() -> int:
    """Devices whose heartbeat stopped go offline."""
    return silence.mark_silent(db_now(), DistributionConfig.current().minutes("silence"))


def bring_back() -> int:
    """People whose midnight is over wait again."""
    after = NbcRecord.Status.AFTER_MIDNIGHT
    due = NbcRecord.objects.filter(status=after, available_at__lte=db_now())
    count = 0
    while people := list(due[:AT_ONCE]):
        back = NbcRecord.move_all(people, NbcRecord.Status.PENDING, sentences.MIDNIGHT_OVER)
        count += len(back)
    return count


def done(name: str, duty: Callable[[], int]) -> int:
    """How many rows the duty moved; one that fails is logged, and keeps no other from its turn."""
    try:
        return duty()
    except Exception:  # the rim: the other duties are done all the same
        logger.exception("%s failed", name)
        return 0


DUTIES: Mapping[str, Callable[[], int]] = {
    "leases lost": settling.sweep,
    "results missing": settling.end_silent,
    "devices released": release_stuck,
    "devices offline": mark_silent,
    "people back": bring_back,
}
