"""What the admin's cells and fields show: states, times, tables, JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from json import JSONEncoder
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold import fields
from unfold.utils import prettify_json


def badge(value: str, text: Any, colour: str) -> SafeString:
    """A state as a coloured word; `colour` is ok, busy, wait, warn, bad or off."""
    return format_html('<span class="state state-{}" title="{}">{}</span>', colour, value, text)


def moment(at: datetime | None) -> SafeString:
    """A time, short, in the reader's zone; the whole of it on hover."""
    if at is None:
        return mark_safe("-")
    local = timezone.localtime(at)
    today = local.date() == timezone.localdate()
    short = local.strftime("%H:%M:%S") if today else date_format(local, "j M H:i")
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>',
        at.isoformat(),
        local.strftime("%Y-%m-%d %H:%M:%S %Z"),
        short,
    )


def plain_table(heads: Sequence[Any], lines: Iterable[Sequence[Any]]) -> SafeString:
    """A table in a row's page, whose lines are stacked where the page is narrow; or `-`."""
    rows = format_html_join(
        "",
        "<tr>{}</tr>",
        (
            (format_html_join("", '<td data-label="{}">{}</td>', zip(heads, line, strict=True)),)
            for line in lines
        ),
    )
    if not rows:
        return mark_safe("-")
    head = format_html_join("", "<th>{}</th>", ((name,) for name in heads))
    return format_html('<table class="plain wide"><tr>{}</tr>{}</table>', head, rows)


def readable_json(data: Any, encoder: type[JSONEncoder] | None) -> SafeString | None:
    """Unfold's JSON, with letters that have an accent as they are."""
    base: Any = encoder or JSONEncoder

    class Readable(base):
        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "ensure_ascii": False})

    return prettify_json(data, Readable)


# Unfold has no setting for it, and writes them as escapes.
fields.prettify_json = readable_json
