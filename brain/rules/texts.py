"""Texts that people and the origin write: compared, shown, filled in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from urllib.parse import quote

from django.utils.translation import gettext as _

SHOWN_MAX = 80
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def fold(text: str) -> str:
    """Without accents, in lower case, single spaces: what phases and keys are compared by."""
    bare = (char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return " ".join("".join(bare).lower().split())


def shown(text: str) -> str:
    """A value as a message may carry it: printable, at most SHOWN_MAX characters."""
    printable = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return printable if len(printable) <= SHOWN_MAX else f"{printable[: SHOWN_MAX - 1]}…"


def said(message: str, **values: object) -> str:
    return message % {name: shown(str(value)) for name, value in values.items()}


def refusal(message: str, **values: object) -> ValueError:
    """A parser's error; its message stands beside the field that is wrong."""
    return ValueError(said(message, **values))


def clean(text: str) -> str:
    """Without what JSON or a database cannot hold: NULs and halves of surrogate pairs."""
    return _SURROGATE.sub("\ufffd", text.replace("\0", ""))


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace the known placeholders in one pass, so that no value is read as a placeholder."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def check_placeholders(text: str, allowed: Collection[str]) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in allowed:
            known = ", ".join(f"{{{one}}}" for one in allowed)
            message = _("There is no placeholder {%(name)s}. Use %(known)s.")
            raise refusal(message, name=name, known=known)
    if {"{", "}"} & set(_PLACEHOLDER.sub("", text)):
        raise refusal(_("A brace has no partner, or is doubled. Write placeholders as {name}."))


def url_part(text: str) -> str:
    return quote(text, safe="", errors="replace")
