"""A case's direct link."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from brain.rules.texts import check_placeholders, fill, refusal, url_part

LINK_PLACEHOLDERS = ("expediente", "idRecurso", "token")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?")


def check_template(text: str | None) -> None:
    """None or "" is no link. Raises ValueError where a case could break or redirect the link."""
    if text:
        check_placeholders(text, LINK_PLACEHOLDERS)
        check_url(text)


def check_url(text: str) -> None:
    """An http(s) URL with a fixed host and no credentials, or "". Raises ValueError.

    The messages leave the text out: what is refused may be a password.
    """
    if not text:
        return
    # urlsplit drops line ends in silence, and a browser reads a backslash as a slash.
    if any(char.isspace() or char == "\\" or not char.isprintable() for char in text):
        raise refusal(_("The URL has a space, backslash or invisible character. Remove it."))
    try:
        parts = urlsplit(text)
    except ValueError:
        raise refusal(_("This is not a URL. Write one as https://example.org/.")) from None
    _check_host(parts.netloc)
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
        raise refusal(_("The URL must start with http:// or https:// and name a host."))


def _check_host(netloc: str) -> None:
    if "@" in netloc:
        raise refusal(_("The URL has a user or password. Remove it: it would be stored here."))
    if "{" in netloc or "}" in netloc:
        raise refusal(_("The host must be fixed. Move the placeholder to after the host."))


def build_link(template: str | None, *, expediente: str, id_recurso: int) -> str:
    """The case's direct link, "" without a template. `{token}` stays: it is a session's secret."""
    values = {"expediente": url_part(expediente), "idRecurso": str(id_recurso)}
    return fill(template or "", values)
