"""Verbs: what a person does to a row. Declared once; admin, API and commands offer them all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db.models import Model
from django.utils.functional import Promise
from django.utils.translation import gettext as _

logger = logging.getLogger(__name__)
Text = str | Promise


class Refused(Exception):
    """The verb cannot be done to the row; the message says why, and what to do."""


class InvalidValue(Refused):
    """The verb's argument is none that it takes; the message says what it takes."""


@dataclass(frozen=True)
class Argument:
    """What a verb wants to know besides the reason: one of `choices`, or a whole number.

    `of(row)` is the value that the row has now, as a person would write it: what an undo puts back.
    """

    name: str
    label: Text
    of: Callable[[Any], str]
    choices: Callable[[], Sequence[tuple[str, Text]]] | None = None
    least: int = 0  # of a number
    most: int = 0
    help: Text = ""

    @property
    def is_number(self) -> bool:
        return self.choices is None

    def value(self, text: str) -> Any:
        """What `run` is given. Raises InvalidValue."""
        text = text.strip()
        return self._number(text) if self.choices is None else self._choice(text)

    def _choice(self, text: str) -> str:
        known = [value for value, _label in self.choices()] if self.choices else []
        if text not in known:
            raise InvalidValue(_("One of: %(known)s.") % {"known": ", ".join(known)})
        return text

    def _number(self, text: str) -> int:
        digits = text.removeprefix("-")
        number = int(text) if digits.isascii() and digits.isdecimal() and len(text) < 12 else None
        if number is None or not self.least <= number <= self.most:
            told = _("A whole number from %(least)d to %(most)d.")
            raise InvalidValue(told % {"least": self.least, "most": self.most})
        return number


@dataclass(frozen=True)
class Verb:
    """`run(row, reason)` does it: False where the row had moved on; it may raise Refused.

    One with an argument is called `run(row, reason, value)`. `undo` names the verb of the same
    rows that takes it back: itself, where it does so with the value before.
    """

    name: str
    label: Text
    consequence: Text  # what will happen, for the confirmation
    run: Callable[..., bool]
    fits: Callable[[Any], bool]  # whether the row is in a state for it
    icon: str = "bolt"
    is_dangerous: bool = False
    argument: Argument | None = None
    undo: str = ""
    in_background: bool = True  # False: its answer is for who asks, such as a new secret

    @property
    def path(self) -> str:
        return self.name.replace("_", "-")

    def carry_out(self, row: Any, reason: str, value: str = "") -> bool:
        """`run`, with the argument as a person writes it. Raises Refused."""
        if self.argument is None:
            return self.run(row, reason)
        return self.run(row, reason, self.argument.value(value))


@dataclass(frozen=True)
class Offer:
    """The verbs of a kind of row. `permission`: where it is another than the model declares."""

    kind: str
    model: type[Model]
    verbs: tuple[Verb, ...]
    permission: str = ""

    def called(self, name: str) -> Verb | None:
        """By its name in the code or in addresses."""
        return next((one for one in self.verbs if name in (one.name, one.path)), None)

    def undo_of(self, verb: Verb) -> Verb | None:
        return self.called(verb.undo) if verb.undo else None


OFFERS: dict[str, Offer] = {}  # by the word that commands, keys and addresses use for the rows


def offer(kind: str, model: type[Model], *offered: Verb, permission: str = "") -> None:
    """An app says what can be done to its rows; done when the app is ready."""
    OFFERS[kind] = Offer(kind, model, offered, permission)


def offer_of(model: type[Model]) -> Offer | None:
    """What is offered for the rows of a model; a proxy's are the same rows."""
    return next(
        (one for one in OFFERS.values() if one.model in (model, model._meta.concrete_model)), None
    )


def operate_permission(model: type[Model]) -> str:
    """The permission that every verb on the model asks for: the one it declares for them."""
    offered = next((one for one in OFFERS.values() if one.model is model), None)
    if offered and offered.permission:
        return offered.permission
    ((codename, _text),) = model._meta.permissions
    return f"{model._meta.app_label}.{codename}"


class Result(StrEnum):
    DONE = "done"
    MOVED_ON = "moved_on"
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """What became of a verb on one row. `before`: the value of its argument until then."""

    result: Result
    why: str = ""
    before: str = ""


def do(verb: Verb, row: Any, reason: str, value: str = "") -> Outcome:
    """Do the verb to the row; whatever goes wrong is told as a refusal."""
    try:
        before = verb.argument.of(row) if verb.argument else ""
        done = verb.fits(row) and verb.carry_out(row, reason, value)
    except Refused as error:
        return Outcome(Result.REFUSED, str(error))
    except Exception as error:
        logger.exception("%s failed on %s %s", verb.name, type(row).__name__, row)
        return Outcome(Result.REFUSED, f"{type(error).__name__}: {error}")
    return Outcome(Result.DONE, before=before) if done else Outcome(Result.MOVED_ON)


@dataclass
class Tally:
    """What became of a verb on many rows."""

    done: int = 0
    moved_on: int = 0
    refused: list[str] = field(default_factory=list)


def apply(verb: Verb, rows: Iterable[Any], reason: str, value: str = "") -> Tally:
    """Do the verb to each row; one that is lost, refused or fails stops no other."""
    tally = Tally()
    for row in rows:
        outcome = do(verb, row, reason, value)
        tally.done += outcome.result is Result.DONE
        tally.moved_on += outcome.result is Result.MOVED_ON
        if outcome.result is Result.REFUSED:
            tally.refused.append(f"{row}: {outcome.why}")
    return tally
