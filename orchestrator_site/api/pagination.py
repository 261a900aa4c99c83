"""Pages by cursor: stable while rows are added."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class IdCursorPagination(CursorPagination):
    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = 1000

    @staticmethod
    def is_position(text: str) -> bool:
        return text.isdecimal()

    def decode_cursor(self, request: Request) -> Any:
        """The place of the cursor; NotFound where it is none of ours."""
        cursor = super().decode_cursor(request)
        if cursor and cursor.position is not None and not self.is_position(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class UuidCursorPagination(IdCursorPagination):
    """Of rows whose ids are UUIDs, ordered by time."""

    @staticmethod
    def is_position(text: str) -> bool:
        return bool(UUID.fullmatch(text))
