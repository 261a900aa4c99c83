"""`{{ payload.a.b }}` in a step's values: names only, no logic."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.\w+)*)\s*\}\}")
ROOTS = ("payload", "secret", "case")
ALONE = ("direct_url",)
TOKEN = "{token}"


class RenderError(Exception):
    """A value cannot be rendered. `error_class` says whose fault it is."""

    def __init__(self, message: str, error_class: str = "payload") -> None:
        super().__init__(message)
        self.error_class = error_class


def names(text: str) -> list[str]:
    """The placeholders' names, in order: `payload.a.b`."""
    return PLACEHOLDER.findall(text)


def problems(text: str) -> list[str]:
    """What is wrong with the placeholders of `text`, before any run."""
    found = [f"unknown placeholder {name}" for name in names(text) if not _is_known(name)]
    rest = PLACEHOLDER.sub("", text)
    if "{{" in rest or "}}" in rest:
        found.append("malformed placeholder")
    return found


def render(text: str, inputs: Mapping[str, Any], quoted: Callable[[str], str] = str) -> str:
    """Fill the placeholders in, once: what a value holds is never rendered again."""
    return PLACEHOLDER.sub(lambda match: quoted(_lookup(match[1], inputs)), text)


def render_url(text: str, inputs: Mapping[str, Any]) -> str:
    """Values are URL-quoted, but for one that the URL starts with: that is itself a URL."""
    first = PLACEHOLDER.match(text)
    end = first.end() if first else 0
    return render(text[:end], inputs) + render(text[end:], inputs, lambda v: quote(v, safe=""))


def render_selector(text: str, inputs: Mapping[str, Any]) -> str:
    """Values are escaped for a quoted string of CSS, so that none can end it."""
    is_xpath = text.lstrip().startswith(("xpath=", "//", "..", "(//"))
    return render(text, inputs, _for_xpath if is_xpath else _for_css)


def navigable(url: str, secrets: Mapping[str, str]) -> str:
    """The address to open: `{token}` filled in, http and https only."""
    if TOKEN in url:
        if not secrets.get("token"):
            raise RenderError("the link wants a session token and there is none", "session")
        url = url.replace(TOKEN, quote(secrets["token"], safe=""))
    if not is_web(url):
        raise RenderError("only http and https addresses may be opened")
    return url


def is_web(url: str) -> bool:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _is_known(name: str) -> bool:
    root, _, rest = name.partition(".")
    return name in ALONE or (root in ROOTS and bool(rest))


def _lookup(name: str, inputs: Mapping[str, Any]) -> str:
    value: Any = inputs
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise RenderError(f"{name} is missing")
        value = value[part]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Decimal):
        return str(value)
    raise RenderError(f"{name} is {'empty' if value is None else 'not a single value'}")


def _for_css(value: str) -> str:
    escaped = re.sub(r"([\\\"'])", r"\\\1", value)
    return re.sub(r"[\r\n\f]+", r"\\a ", escaped)


def _for_xpath(value: str) -> str:
    if '"' in value or "'" in value:
        raise RenderError("a value with quotes cannot stand in an XPath selector")
    return value
