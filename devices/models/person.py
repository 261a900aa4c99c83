"""Who was worked on a short while ago."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import connections, models
from django.utils.translation import gettext_lazy as _


class PersonWindow(models.Model):
    """A CURP that a device took, and until when no other device may."""

    curp = models.CharField("CURP", max_length=18, primary_key=True)
    holder = models.CharField(_("task"), max_length=100)
    until = models.DateTimeField(_("until"))

    class Meta:
        verbose_name = _("person's window")
        verbose_name_plural = _("persons' windows")

    def __str__(self) -> str:
        return f"{self.curp[:4]}… {self.until:%H:%M}"

    @classmethod
    def shut(cls, curps: Collection[str], now: datetime) -> dict[str, datetime]:
        """The CURPs that may not be taken now, and until when."""
        rows = cls.objects.filter(curp__in=curps, until__gt=now)
        return dict(rows.values_list("curp", "until"))

    @classmethod
    def take(cls, holders: Mapping[str, str], now: datetime, until: datetime) -> set[str]:
        """Begin the window of each CURP for its holder; returns the CURPs that were free.

        One statement that decides for all of them: of two that take a CURP at once one gets it.
        """
        if not holders:
            return set()
        # Sorted, so that two takers lock in one order and never wait for each other in a ring.
        rows = [(curp, holders[curp], until) for curp in sorted(holders)]
        marks = ", ".join(["(%s, %s, %s)"] * len(rows))
        connection = connections[cls.objects.db]
        table = connection.ops.quote_name(cls._meta.db_table)
        field = cls._meta.get_field("until")
        values = [
            value
            for curp, holder, end in rows
            for value in (curp, holder, field.get_db_prep_save(end, connection))  # type: ignore[union-attr]
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} (curp, holder, until) VALUES {marks} "
                "ON CONFLICT (curp) DO UPDATE SET holder = excluded.holder, until = excluded.until "
                f"WHERE {table}.until <= %s RETURNING curp",
                [*values, field.get_db_prep_save(now, connection)],  # type: ignore[union-attr]
            )
            return {curp for (curp,) in cursor.fetchall()}

    @classmethod
    def close(cls, curp: str, holder: str, now: datetime) -> bool:
        """Let the person be taken again at once; only for who holds the window."""
        mine = cls.objects.filter(pk=curp, holder=holder, until__gt=now)
        return bool(mine.update(until=now))
