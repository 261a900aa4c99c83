"""Logs without secrets."""

from __future__ import annotations

import logging
import re
from urllib.parse import urlsplit

from django.conf import settings

REDACTED = "[REDACTED]"
# What may follow `password=`: in quotes, in an ODBC string's braces, or up to the next separator.
_VALUE = r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\{[^}]*\}|[^\s&;,"'}]+)"""
_NAME = r"(?:token|password|passwd|pwd|secret|api[-_ ]?key|secret[-_ ]?(?:access[-_ ]?)?key|cookie)"
_PAIR = re.compile(rf"""(?i)({_NAME})(\\?["']?\s*[=:]\s*){_VALUE}""")
_AUTHORISATION = re.compile(
    r"""(?i)\b(bearer\s+|authorization["']?\s*[=:]\s*["']?[\w-]+\s+)[\w.~+/=-]{8,}"""
)
_IN_URL = re.compile(r"(://[^\s:/@]*:)[^\s/@]+@")


class Redact(logging.Filter):
    """Take known secrets, and whatever follows `token=` and its like, out of every record, its
    traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        cleaned = redact(text)
        if cleaned != text:
            record.msg, record.args = cleaned, ()
        if record.exc_info and any(record.exc_info):
            record.exc_text = redact(_plain.formatException(record.exc_info))
            record.exc_info = None  # else a formatter would write it out again, as it was
        return True


_plain = logging.Formatter()


def redact(text: str) -> str:
    for secret in _known():
        text = text.replace(secret, REDACTED)
    text = _IN_URL.sub(rf"\1{REDACTED}@", text)
    text = _AUTHORISATION.sub(rf"\1{REDACTED}", text)
    return _PAIR.sub(rf"\1\2{REDACTED}", text)


def _known() -> list[str]:
    """The secrets that this process was configured with."""
    passwords = [str(database.get("PASSWORD") or "") for database in settings.DATABASES.values()]
    ours = (
        settings.XVIA_PASSWORD,
        settings.AWS_SECRET_ACCESS_KEY,
        settings.SECRET_KEY,
        settings.EMAIL_HOST_PASSWORD,
        settings.METRICS_TOKEN,
        settings.ALERT_WEBHOOK_URL,
        settings.ALERT_WEBHOOK_SECRET,
        settings.DEADMAN_URL,
        urlsplit(settings.MONGODB_URI).password or "",
        *(site["password"] for site in settings.PQR_SITES.values()),
    )
    return [secret for secret in (*ours, *passwords) if secret]
