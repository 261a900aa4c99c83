"""What a run is given: the inputs that a flow declares, and whether given values are of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from brain.rules.filters import compile_regex
from orchestrator_site.sentences import told
from queues.browser import scripts, templating
from queues.browser.scripts import UNSTORABLE, Step

MOST_BYTES = 256 * 1024  # of inputs and metadata together, as JSON
MOST_INPUTS = 200
MOST_DEEP = 20
MOST_WHOLE = 2**63
_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "type": str,
    "title": str,
    "required": bool,
    "secret": bool,
    "pattern": str,
    "max_length": int,
    "choices": list,
    "default": object,
}
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "date": (str,),
}


class InvalidInputs(Exception):
    """What a run was given cannot be used; `fields`: what is wrong, by the input's name."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in fields.items()))
        self.fields = dict(fields)


# --- What a flow declares -----------------------------------------------------------------------


def declaration_problems(declared: Any) -> list[str]:
    """What is wrong with a flow's `inputs`, each with its place."""
    if not isinstance(declared, dict):
        return [_("inputs must be an object of names and what they are")]
    if len(declared) > MOST_INPUTS:
        return [_("inputs: at most %(most)d") % {"most": MOST_INPUTS}]
    return [f"inputs.{name}: {text}" for name, one in declared.items() for text in _of(name, one)]


def _of(name: str, about: Any) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield _("a name has letters, digits and _, and begins with a letter")
    if not isinstance(about, dict):
        yield _("must be an object, such as %(example)s") % {"example": '{"type": "string"}'}
        return
    wrong = [text for key, value in about.items() for text in _of_key(key, value)]
    yield from wrong
    if about.get("type", "string") not in TYPES:
        yield _("the type must be one of %(types)s") % {"types": ", ".join(TYPES)}
    elif not wrong:
        yield from _of_values(about)


def _of_key(key: str, value: Any) -> Iterator[str]:
    wanted = _KEYS.get(key)
    if wanted is None:
        yield _("“%(key)s” is not known here") % {"key": key}
    elif wanted is not object and type(value) is not wanted:
        yield _("%(key)s is of the wrong type") % {"key": key}
    elif key == "max_length" and value < 1:
        yield _("max_length must be at least 1")
    elif key == "choices" and not value:
        yield _("choices must name at least one value")
    elif key == "pattern":
        try:
            compile_regex(value)
        except ValueError as error:
            yield f"pattern: {error}"


def _of_values(about: Mapping[str, Any]) -> Iterator[str]:
    """Its own default and choices must be such as it asks for."""
    if about.get("required") and "default" in about:
        yield _("what is required has no default")
    if about.get("secret") and "default" in about:
        yield _("a secret has no default")
    free = {key: value for key, value in about.items() if key != "choices"}
    for choice in about.get("choices", ()):
        for text in _problems(free, choice):
            yield f"choices: {text}"
    if "default" in about:
        for text in _problems(about, about["default"]):
            yield f"default: {text}"


def placeholder_problems(declared: Mapping[str, Any], steps: Sequence[Step]) -> list[str]:
    """What steps ask for and a run would not have, each with its step."""
    return [
        told(f"{scripts.place(number, step)}: {text}")
        for number, step in enumerate(steps, 1)
        for name in sorted(scripts.placeholders([step]))
        for text in _of_placeholder(declared, name)
    ]


def _of_placeholder(declared: Mapping[str, Any], name: str) -> Iterator[str]:
    root, _dot, rest = name.partition(".")
    if name in templating.ALONE or root == "case":
        if name != "case.id":
            yield _("%(name)s is not there in a run of an organisation's flow") % {"name": name}
        return
    about = declared.get(rest)
    if rest in declared and not isinstance(about, dict):
        return  # what is wrong with the input has been told
    if about is None:
        yield _("%(name)s is not declared: add “%(input)s” to the inputs") % {
            "name": name,
            "input": rest,
        }
    elif bool(about.get("secret")) != (root == "secret"):
        right = f"{'secret' if about.get('secret') else 'payload'}.{rest}"
        yield _("%(name)s must be written %(right)s, as it is declared") % {
            "name": name,
            "right": right,
        }
    elif not about.get("required") and "default" not in about:
        yield _("%(name)s may be missing: have it required, or give it a default") % {"name": name}


# --- What a run is given ------------------------------------------------------------------------


def filled(declared: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """The values of a run, with the defaults. Raises InvalidInputs with all that is wrong."""
    if not isinstance(given, Mapping):
        raise InvalidInputs({"inputs": _("must be an object of names and values")})
    wrong = {str(name)[:64]: _("is not declared") for name in given if name not in declared}
    values = {}
    for name, about in declared.items():
        if name in given:
            values[name] = given[name]
            if found := next(_problems(about, given[name]), ""):
                wrong[name] = found
        elif about.get("required"):
            wrong[name] = _("is required")
        elif "default" in about:
            values[name] = about["default"]
    if wrong:
        raise InvalidInputs(wrong)
    return values


def check_size(**parts: Any) -> None:
    """Whether these values can be stored, and are not too long together. Raises InvalidInputs."""
    for name, value in parts.items():
        if not _is_storable(value, MOST_DEEP):
            text = _("holds what cannot be stored, or is nested too deeply")
            raise InvalidInputs({name: text})
    size = sum(len(json.dumps(value, ensure_ascii=False).encode()) for value in parts.values())
    if size > MOST_BYTES:
        text = _("%(size)d bytes, at most %(most)d") % {"size": size, "most": MOST_BYTES}
        raise InvalidInputs({next(iter(parts)): text})


def _is_storable(value: Any, deep: int) -> bool:
    """JSON that databases and workers take: no NUL, no half characters, no NaN."""
    if isinstance(value, str):
        return not UNSTORABLE.search(value)
    if isinstance(value, bool | None):
        return True
    if isinstance(value, int):
        return abs(value) < MOST_WHOLE
    if isinstance(value, float):
        return math.isfinite(value)
    if deep == 0:
        return False
    if isinstance(value, Mapping):
        names = all(isinstance(name, str) and not UNSTORABLE.search(name) for name in value)
        return names and all(_is_storable(one, deep - 1) for one in value.values())
    return isinstance(value, list) and all(_is_storable(one, deep - 1) for one in value)


def _problems(about: Mapping[str, Any], value: Any) -> Iterator[str]:
    kind = about.get("type", "string")
    is_of_type = isinstance(value, TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)
    if not is_of_type or (isinstance(value, float) and not math.isfinite(value)):
        yield _("must be of the type %(type)s") % {"type": kind}
        return
    if kind == "date" and not _is_date(value):
        yield _("must be a date, as 2026-01-31")
    if isinstance(value, str):
        yield from _of_text(about, value)
    if "choices" in about and value not in about["choices"]:
        yield _("must be one of %(choices)s") % {"choices": ", ".join(map(str, about["choices"]))}


def _of_text(about: Mapping[str, Any], value: str) -> Iterator[str]:
    if UNSTORABLE.search(value):
        yield _("holds characters that cannot be stored")
    elif about.get("required") and not value.strip():
        yield _("is empty")
    elif "max_length" in about and len(value) > about["max_length"]:
        yield _("is longer than %(most)d") % {"most": about["max_length"]}
    elif "pattern" in about and not compile_regex(about["pattern"]).fullmatch(value):
        yield _("does not match %(pattern)s") % {"pattern": about["pattern"]}


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
