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

# For a cell without a value: on a narrow screen its line is left out.
NOTHING = mark_safe('<span class="nothing">-</span>')
LONGEST = 300  # characters of a text in a list


def badge(value: str, text: Any, colour: str) -> SafeString:
    """A state as a coloured word; `colour` is ok, busy, wait, warn, bad or off."""
    return format_html('<span class="state state-{}" title="{}">{}</span>', colour, value, text)


def brief(text: str) -> SafeString:
    """A text that may be long: two lines of it, more of it on hover."""
    if not text:
        return NOTHING
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return format_html('<div class="brief" title="{0}">{0}</div>', shown)


def pair(first: Any, second: Any) -> SafeString:
    """Two facts in one cell: the second below the first, small; left out where it is empty."""
    if not second:
        return format_html('<div class="pair">{}</div>', first)
    return format_html('<div class="pair">{} <div class="second">{}</div></div>', first, second)


def key(text: Any) -> SafeString:
    """A name: on one line where there is room for it, broken anywhere where it is longer."""
    return format_html('<span class="key">{}</span>', text) if text else NOTHING


def moment(at: datetime | None) -> SafeString:
    """A time, short, in the reader's zone; the whole of it on hover."""
    if at is None:
        return NOTHING
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
