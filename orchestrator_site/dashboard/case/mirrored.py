"""Whether Mongo has been told of a case's rows: asked of the outbox, never of Mongo."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from orchestrator_site.dashboard.case.hops import Hop
from queues.mirror import door
from queues.mirror.publishing import open_changes
from queues.models import MirrorChange

LOOKED_AT = 1000  # of the oldest changes that Mongo is still to be told
Documents = Sequence[tuple[str, str]]


def hop(documents: Documents, is_due: bool) -> Hop:
    """`documents`: kind and key of each row. Without a mirror nobody needs it."""
    title = _("Mirrored")
    if not door.is_configured():
        return Hop("mirrored", title, is_needed=False, note=_("there is no mirror here"))
    if aside := _set_aside(documents):
        return Hop("mirrored", title, note=aside.error, is_broken=True)
    waits, since = _waits(documents)
    if waits:
        return Hop("mirrored", title, note=_("Mongo is still to be told"), at=since)
    return Hop("mirrored", title, is_done=is_due)


def _set_aside(documents: Documents) -> MirrorChange | None:
    """By the index of what was set aside, of which there is little."""
    aside = MirrorChange.objects.filter(_any_of(documents), set_aside_at__isnull=False)
    return aside.order_by("-set_aside_at").first()


def _waits(documents: Documents) -> tuple[bool, datetime | None]:
    """Whether one of them is among the oldest changes that are not told, and since when. The outbox
    has no index by document: where more changes wait than are looked at, nobody can say, and the
    rows count as waiting."""
    wanted = set(documents)
    oldest = list(open_changes().values_list("kind", "key", "at")[:LOOKED_AT])
    since = next((at for kind, key, at in oldest if (kind, key) in wanted), None)
    return since is not None or len(oldest) == LOOKED_AT, since


def _any_of(documents: Documents) -> Q:
    found = Q()
    for kind, key in documents:
        found |= Q(kind=kind, key=key)
    return found
