"""What the cluster was asked for, read from its queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_q.models import OrmQ

from postprocessing import asking

Asked = Callable[[Callable[[], Any]], list[tuple[str, tuple[Any, ...]]]]


def asked_for() -> list[tuple[str, tuple[Any, ...]]]:
    """Functions and their arguments, the oldest first."""
    found = [row.task for row in OrmQ.objects.filter(key=asking.CLUSTER).order_by("id")]
    return [(one["func"], tuple(one["args"])) for one in found]
