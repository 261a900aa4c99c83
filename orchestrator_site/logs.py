"""Logs without secrets."""

from __future__ import annotations

import logging
import re

from django.conf import settings

REDACTED = "[REDACTED]"
_PAIR = re.compile(
    r"(?i)(_token|token|password|passwd|pwd|secret|api[-_ ]?key)([\"']?\s*[=:]\s*)([^\s&;,\"'}]+)"
)


class Redact(logging.Filter):
    """Take known secrets, and whatever follows `token=` and its like, out of every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        cleaned = redact(text)
        if cleaned != text:
            record.msg, record.args = cleaned, ()
        return True


def redact(text: str) -> str:
    for secret in (settings.XVIA_PASSWORD, settings.AWS_SECRET_ACCESS_KEY, settings.SECRET_KEY):
        if secret:
            text = text.replace(secret, REDACTED)
    return _PAIR.sub(rf"\1\2{REDACTED}", text)
