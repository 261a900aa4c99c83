"""How the generators fare."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, Q

from queues.models import QueueEntry


def success_rates(since: datetime) -> dict[str, float]:
    """Per cent of the tasks finished since then that ended well, by generator. A generator that
    finished none is not in it."""
    finished = QueueEntry.objects.filter(status=QueueEntry.Status.COMPLETE, processed_at__gte=since)
    counted = finished.values("generator_id").annotate(
        done=Count("pk"), well=Count("pk", filter=Q(success=True))
    )
    return {
        str(row["generator_id"]): round(100 * row["well"] / row["done"], 2)
        for row in counted.order_by()
    }
