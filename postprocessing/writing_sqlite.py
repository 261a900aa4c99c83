"""Complaints into SQLite, by `executemany`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from uuid_utils import uuid7

from postprocessing.writing import COLUMNS, OF_FILE, Row, Writer


class SqliteWriter(Writer):
    no_extra = "{}"

    def _lock(self) -> None:
        """Transactions are begun as writers: there is one at a time."""

    def _found(
        self,
        table: str,
        columns: Sequence[str],
        key: str,
        values: Collection[str] | Collection[int],
        where: str = "TRUE",
    ) -> list[tuple[Any, ...]]:
        among = f"{key} IN (SELECT value FROM json_each(%s))"
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {among} AND {where}"
        with self.connection.cursor() as cursor:
            cursor.execute(sql, [json.dumps(list(values))])
            return cursor.fetchall()

    def _told(self, moment: datetime) -> str:
        return str(moment.replace(tzinfo=None))

    def _case(self) -> str:
        return uuid7().hex

    def _json(self, value: Mapping[str, Any]) -> str:
        return json.dumps(value, ensure_ascii=False)

    def _insert(self, rows: Sequence[Row]) -> None:
        marks = ", ".join(["%s"] * len(COLUMNS))
        self._sent(f"INSERT INTO {self.table} ({', '.join(COLUMNS)}) VALUES ({marks})", rows)

    def _change(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        assigned = ", ".join(f"{name} = %s" for name in columns)
        turned = [(*new, pk) for pk, *new in rows]
        self._sent(f"UPDATE {self.table} SET {assigned} WHERE id = %s", turned)

    def _keep(self, rows: Sequence[Row]) -> None:
        marks = ", ".join(["%s"] * len(OF_FILE))
        sql = (
            f"INSERT INTO {self.files} ({', '.join(OF_FILE)}) VALUES ({marks})"
            f" ON CONFLICT (empresa, filename) DO UPDATE SET {_replaced(OF_FILE[1:])}"
        )
        common = (self.company.name, self._told(timezone.now()))
        self._sent(sql, [(*common, *row) for row in rows])

    def _sent(self, sql: str, rows: Sequence[Row]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(sql, rows)


def _replaced(columns: Iterable[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in columns)
