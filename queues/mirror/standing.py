"""How the mirror fares, as the database knows it: Mongo itself is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from orchestrator_site.clock import db_now
from queues.mirror import door
from queues.mirror.publishing import open_changes
from queues.models import Generator, MirrorChange, MirrorState, SetAside

COUNTED = 100_000  # changes are counted no further: there may be millions after a night
SILENT = timedelta(minutes=1)  # without a look at Mongo, and nobody works the mirror


@dataclass(frozen=True)
class Standing:
    """`depth`: changes that Mongo is still to be told, at most COUNTED; `lag`: the age of the
    oldest of them. Set aside `out`: changes for Mongo; `into`: documents of Mongo."""

    state: MirrorState
    now: datetime
    depth: int
    lag: timedelta
    out: int
    into: int

    @property
    def is_at_limit(self) -> bool:
        return self.depth == COUNTED

    @property
    def oldest_at(self) -> datetime:
        return self.now - self.lag

    @property
    def is_fresh(self) -> bool:
        """Its lag is a matter of seconds."""
        return self.lag < 2 * SILENT

    @property
    def since_read(self) -> timedelta | None:
        """None: Mongo was never read."""
        return self.now - self.state.read_at if self.state.read_at else None

    @property
    def is_up(self) -> bool:
        """Somebody works the mirror, and Mongo answers."""
        read = self.since_read
        is_silent = read is None or read > max(SILENT, 3 * settings.MIRROR_POLL)
        return self.state.is_on and not self.state.error and not is_silent

    @property
    def has_problems(self) -> bool:
        return not self.is_up or bool(self.out or self.into)


def current() -> Standing | None:
    """None where there is no mirror: none is configured, and none is left on."""
    if not door.is_configured() and not MirrorState.objects.filter(is_on=True).exists():
        return None
    now = db_now()
    oldest = open_changes().values_list("at", flat=True).first()
    return Standing(
        state=MirrorState.current(),
        now=now,
        depth=open_changes().order_by()[:COUNTED].count(),
        lag=max(now - oldest, timedelta(0)) if oldest else timedelta(0),
        out=MirrorChange.objects.filter(set_aside_at__isnull=False).count(),
        into=SetAside.objects.count(),
    )


def forsaken() -> list[str]:
    """Generators that are worked from Mongo while no Mongo is configured: nobody works them."""
    if door.is_configured():
        return []
    mongo = Generator.WorkedBy.MONGO
    return list(Generator.objects.filter(worked_by=mongo).values_list("name", flat=True))
