"""How the generators fare."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Count, Q

from queues.models import Generator, QueueEntry


def success_rates(generators: Iterable[Generator], since: datetime) -> dict[str, float]:
    """Per cent of their tasks finished since then that ended well, by name. A generator that
    finished none is not in it."""
    finished = QueueEntry.objects.filter(
        # Named, since the index of what is finished begins with them.
        generator__in=[one.name for one in generators],
        status=QueueEntry.Status.COMPLETE,
        processed_at__gte=since,
    )
    counted = finished.values("generator_id").annotate(
        done=Count("pk"), well=Count("pk", filter=Q(success=True))
    )
    return {
        str(row["generator_id"]): round(100 * row["well"] / row["done"], 2)
        for row in counted.order_by()
    }
