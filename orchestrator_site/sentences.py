"""The sentences that the code stores, told in the reader's language.

What happened is stored in English: nobody knows who will read it. Each app has its sentences in
its `sentences.py`, registered by `gettext_noop`; pages show a stored text through `told`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache

from django.utils.module_loading import autodiscover_modules
from django.utils.translation import get_language, gettext

LONGEST = 2000  # characters; a longer text is none of ours
_PLACE = re.compile(r"%\((?P<name>\w+)\)(?P<kind>[sd])|%%")
_VALUES = {"s": r"(?P<{}>.*?)", "d": r"(?P<{}>-?\d+)"}
_exact: set[str] = set()
_templates: dict[str, re.Pattern[str]] = {}  # the one with most words of its own first


def gettext_noop(text: str) -> str:
    """Register a sentence and return it, to be stored as it is or, as a template, filled in by
    `%` from `%(name)s` and `%(name)d`. To be called as a module is imported; makemessages finds
    the text by this function's name."""
    if "%(" in text:
        _templates[text] = _pattern(text)
        ordered = sorted(_templates.items(), key=lambda one: -len(_PLACE.sub("", one[0])))
        _templates.clear()
        _templates.update(ordered)
    else:
        _exact.add(text)
    _told.cache_clear()
    return text


def told(text: str) -> str:
    """A stored text in the reader's language: a sentence that is registered, with its values, of
    which some may be sentences too; any other text as it is."""
    if not text or len(text) > LONGEST:  # "" is the header of a catalogue
        return text
    _load()
    return _told(text, get_language())


def registered() -> list[str]:
    """All that the apps have registered."""
    _load()
    return [*_exact, *_templates]


def matched(text: str) -> tuple[str, Mapping[str, str]] | None:
    """The template that a stored text was made of, and what was filled in; None for any other."""
    for template, pattern in _templates.items():
        if found := pattern.fullmatch(text):
            return template, found.groupdict()
    return None


@cache
def _load() -> None:
    """A web process imports few of the modules that store sentences."""
    autodiscover_modules("sentences")


@lru_cache(maxsize=4096)
def _told(text: str, language: str | None) -> str:
    """`language` is the active one: the same text has an answer in each."""
    if text in _exact:
        return gettext(text)
    found = matched(text)
    if found is None:
        return text
    template, values = found
    kinds = {one["name"]: one["kind"] for one in _PLACE.finditer(template) if one["name"]}
    filled = {
        name: int(value) if kinds[name] == "d" else told(value) for name, value in values.items()
    }
    return gettext(template) % filled


def _pattern(template: str) -> re.Pattern[str]:
    parts, end = [], 0
    for place in _PLACE.finditer(template):
        parts.append(re.escape(template[end : place.start()]))
        parts.append(_VALUES[place["kind"]].format(place["name"]) if place["name"] else "%")
        end = place.end()
    return re.compile("".join([*parts, re.escape(template[end:])]), re.DOTALL)
