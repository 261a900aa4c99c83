"""The one way a row changes its status: a guarded update and an event, in one transaction."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from orchestrator_site.models.event import Event

logger = logging.getLogger(__name__)


class IllegalMove(Exception):
    """A status change that the map of legal moves does not hold: a bug, never a lost race."""


class StatusModel(models.Model):
    """A row with a status and a case.

    A subclass declares `status` with its choices and `MOVES`, the legal moves from each status.
    """

    MOVES: ClassVar[Mapping[str, frozenset[str]]]

    case_id = models.UUIDField(_("case"), default=uuid.uuid4, db_index=True, editable=False)
    status: models.CharField[str, str]

    class Meta:
        abstract = True

    def move(
        self,
        to: str,
        reason: str = "",
        *,
        guard: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> bool:
        """Move this row to status `to`, writing `changes` with it; True if this call did it.

        False is a lost race: somebody moved the row first, or `guard` (more conditions on the
        row, such as the lease token) no longer holds. Then nothing was written. Raises
        IllegalMove where MOVES has no such move.
        """
        return bool(self.move_all([self], to, reason, guard=guard, data=data, **changes))

    @classmethod
    def move_all(
        cls,
        rows: Iterable[Self],
        to: str,
        reason: str = "",
        *,
        guard: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> list[Self]:
        """Move many rows of one status in one statement; returns those that this call moved."""
        rows = list(rows)
        if not rows:
            return []
        old = rows[0].status
        if any(row.status != old for row in rows):
            raise IllegalMove(f"{cls.__name__}: rows of several statuses in one move")
        if to not in cls.MOVES.get(old, frozenset()):
            raise IllegalMove(f"{cls.__name__}: {old} -> {to}")
        by_pk = {row.pk: row for row in rows}
        with transaction.atomic():
            won = cls._default_manager.filter(status=old, **(guard or {}))
            moved = won.filter(pk__in=by_pk)
            if len(rows) == 1:
                moved_pks = list(by_pk) if moved.update(status=to, **changes) else []
            else:
                moved_pks = list(moved.select_for_update().values_list("pk", flat=True))
                won.filter(pk__in=moved_pks).update(status=to, **changes)
            moved_rows = [by_pk[pk] for pk in moved_pks]
            Event.record(moved_rows, old, to, reason, data)
        for row in moved_rows:
            row.status = to
            for name, value in changes.items():
                if not hasattr(value, "resolve_expression"):  # the caller knows what F() did
                    setattr(row, name, value)
        return moved_rows
