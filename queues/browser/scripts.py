"""A flow's steps: what they may be, their canonical text and its hash."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from queues.browser import templating
from queues.browser.parsers import PARSERS

ERROR_CLASSES = (
    "business",
    "site",
    "session",
    "device",
    "busy",
    "timeout",
    "payload",
    "infrastructure",
)
MOST_SECONDS = 3600
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
Step = dict[str, Any]


class InvalidSteps(Exception):
    """Steps that cannot run; `messages` names every problem with its place."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class ScriptRejected(Exception):
    """A script that must not run: changed since it was hashed, or not a list of valid steps."""


@dataclass(frozen=True)
class Verb:
    """The keys that a verb takes; `one_of`: exactly one of these."""

    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


VERBS: Mapping[str, Verb] = {
    "navigate": Verb(("url",)),
    "fill": Verb(("selector", "value")),
    "select": Verb(("selector", "value")),
    "check": Verb(("selector",)),
    "click": Verb(("selector",), flags=("irrevocable",)),
    "upload": Verb(("selector", "file")),
    "wait": Verb(one_of=("selector", "url", "text"), flags=("confirms",), optional=("unless",)),
    "expect": Verb(one_of=("selector", "text", "url"), flags=("absent", "confirms")),
    "download": Verb(("selector", "name"), flags=("receipt",)),
    "screenshot": Verb(("name",)),
    "download_all": Verb(("selector",)),
    "read": Verb(("selector", "as")),
    "collect": Verb(("selector", "parts", "as")),
    "parse": Verb(("file", "parser"), optional=("as",)),
}
COMMON = ("do", "error", "message", "optional", "timeout")
FLAGS = ("irrevocable", "confirms", "absent", "receipt", "optional")
MAY_BE_EMPTY = ("value",)
# Of a match: "CSS" for the text of what is in it (":scope": its own), "CSS@attribute", or
# "@attribute" of its own.
PART = re.compile(r"(?P<selector>.*?)(?:@(?P<attribute>[A-Za-z][\w-]*))?", re.DOTALL)
# Elsewhere a secret would end up in a log line or a file's name.
MAY_HOLD_SECRETS = ("value", "url")


def validate(steps: Any) -> None:
    """Raise InvalidSteps with everything that is wrong."""
    if not isinstance(steps, list) or not steps:
        raise InvalidSteps(["steps must be a list of at least one step"])
    messages = [
        f"{place(number, step)}: {problem}"
        for number, step in enumerate(steps, 1)
        for problem in _step_problems(step)
    ]
    messages += _order_problems([step for step in steps if isinstance(step, dict)])
    if messages:
        raise InvalidSteps(messages)


def canonical(steps: list[Step]) -> str:
    """The one text that stands for these steps; its exact bytes are hashed and signed."""
    return json.dumps(steps, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()


def verify(script: str, script_hash: str) -> list[Step]:
    """The steps of a script that still has its hash, else ScriptRejected."""
    if not hmac.compare_digest(_bytes(sha256(script)), _bytes(script_hash)):
        raise ScriptRejected("Script integrity check failed")
    try:
        steps = json.loads(script)
        validate(steps)
    except (ValueError, RecursionError) as error:
        raise ScriptRejected("The script is not valid JSON") from error
    except InvalidSteps as error:
        raise ScriptRejected(f"The script is not valid: {error}") from error
    return steps


def placeholders(steps: list[Step]) -> set[str]:
    """The names that the steps ask for: `payload.expediente`, `secret.token`."""
    return {
        name
        for step in steps
        for value in step.values()
        if isinstance(value, str)
        for name in templating.names(value)
    }


def place(number: int, step: Any) -> str:
    verb = step.get("do") if isinstance(step, dict) else None
    is_known = isinstance(verb, str) and verb in VERBS
    return f"step {number} ({verb})" if is_known else f"step {number}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _step_problems(step: Any) -> Iterator[str]:
    if not isinstance(step, dict):
        yield "must be an object"
        return
    name = step.get("do")
    verb = VERBS.get(name) if isinstance(name, str) else None
    if verb is None:
        yield f"unknown verb {name!r}; known are {', '.join(VERBS)}"
        return
    yield from _key_problems(step, verb)
    for key in sorted(_known_keys(verb) & step.keys()):
        yield from _value_problems(key, step[key])
    if name == "navigate" and not _may_be_opened(step.get("url")):
        yield "url must be an http or https address, or start with a placeholder"


def _may_be_opened(url: Any) -> bool:
    """What is not text, or is missing, has been reported already."""
    return not isinstance(url, str) or url.startswith("{{") or templating.is_web(url)


def _known_keys(verb: Verb) -> set[str]:
    return {*COMMON, *verb.required, *verb.one_of, *verb.flags, *verb.optional}


def _key_problems(step: Step, verb: Verb) -> Iterator[str]:
    for key in step:
        if key not in _known_keys(verb):
            yield f"{key!r} is not known here"
    for key in verb.required:
        if key not in step:
            yield f"{key} is required"
    if verb.one_of and len([key for key in verb.one_of if key in step]) != 1:
        yield f"exactly one of {', '.join(verb.one_of)} is required"
    if "unless" in step and "selector" not in step:
        yield "unless goes with a selector"
    if step.get("optional") and (step.get("irrevocable") or step.get("confirms")):
        yield "an irrevocable or confirming step cannot be optional"


def _value_problems(key: str, value: Any) -> Iterator[str]:
    if key in FLAGS:
        if not isinstance(value, bool):
            yield f"{key} must be true or false"
    elif key == "timeout":
        if not _is_seconds(value):
            yield f"timeout must be a number of seconds, at most {MOST_SECONDS}"
    elif key == "parts":
        yield from _parts_problems(value)
    elif not isinstance(value, str):
        yield f"{key} must be text"
    elif not value.strip() and key not in MAY_BE_EMPTY:
        yield f"{key} is empty"
    else:
        yield from _text_problems(key, value)


def _parts_problems(parts: Any) -> Iterator[str]:
    if not isinstance(parts, dict) or not parts:
        yield "parts must be an object of names and selectors"
        return
    for name, part in parts.items():
        if not isinstance(part, str) or not part.strip():
            yield f"part {name!r} must be text"
        elif UNSTORABLE.search(name + part):
            yield "parts holds characters that cannot be stored"
        elif "{{" in part:
            yield f"part {name!r} takes no placeholder"


def _text_problems(key: str, value: str) -> Iterator[str]:
    if key == "error" and value not in ERROR_CLASSES:
        yield f"unknown error class {value!r}; known are {', '.join(ERROR_CLASSES)}"
    if key == "parser" and value not in PARSERS:
        yield f"unknown parser {value!r}; known are {', '.join(PARSERS)}"
    for problem in templating.problems(value):
        yield f"{key}: {problem}"
    holds_secret = any(name.startswith("secret.") for name in templating.names(value))
    if holds_secret and key not in MAY_HOLD_SECRETS:
        yield f"{key} may not hold a secret"
    if UNSTORABLE.search(value):
        yield f"{key} holds characters that cannot be stored"


def _is_seconds(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value <= MOST_SECONDS


def _order_problems(steps: list[Step]) -> Iterator[str]:
    sending = [index for index, step in enumerate(steps) if step.get("irrevocable") is True]
    if len(sending) > 1:
        yield "only one step may be irrevocable"
    for index, step in enumerate(steps):
        if step.get("confirms") is True and not (sending and sending[0] < index):
            yield f"{place(index + 1, step)}: confirms needs an irrevocable step before it"
