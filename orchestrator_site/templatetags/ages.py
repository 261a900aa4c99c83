"""`{{ at|ago }}`: a moment, as live.js tells it: how long ago, ticking; without it the time."""

from __future__ import annotations

from datetime import datetime

from django.template import Library
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = Library()


@register.filter
def ago(at: datetime | None) -> str | SafeString:
    if at is None:
        return "-"
    local = timezone.localtime(at)
    is_today = local.date() == timezone.localdate()
    short = local.strftime("%H:%M:%S") if is_today else date_format(local, "j M H:i")
    shown = '<time class="nowrap" data-age datetime="{}" title="{}">{}</time>'
    return format_html(shown, at.isoformat(), local.strftime("%Y-%m-%d %H:%M:%S %Z"), short)
