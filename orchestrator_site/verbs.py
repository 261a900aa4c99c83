"""Verbs: what a person does to a row. Declared once; admin, API and commands offer them all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model
from django.utils.functional import Promise

logger = logging.getLogger(__name__)
Text = str | Promise


class Refused(Exception):
    """The verb cannot be done to the row; the message says why, and what to do."""


@dataclass(frozen=True)
class Argument:
    """What a verb wants to know besides the reason: one of `choices`, or what `parse` takes.

    `parse` makes the value of what a person wrote; its ValueError says what is wrong with it.
    `of(row)` is the value that the row has now, as a person would write it: what an undo puts back.
    """

    name: str
    label: Text
    parse: Callable[[str], Any]
    of: Callable[[Any], str]
    choices: Callable[[], Sequence[tuple[str, Text]]] | None = None
    help: Text = ""


@dataclass(frozen=True)
class Verb:
    """`run(row, reason)` does it: False where the row had moved on; it may raise Refused.

    One with an argument is called `run(row, reason, value)`. `undo` names the verb of the same
    rows that takes it back; one with an argument takes itself back, with the value before.
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

    @property
    def path(self) -> str:
        return self.name.replace("_", "-")


@dataclass(frozen=True)
class Offer:
    """The verbs of a kind of row."""

    kind: str
    model: type[Model]
    verbs: tuple[Verb, ...]


OFFERS: dict[str, Offer] = {}  # by the word that commands, keys and addresses use for the rows


def offer(kind: str, model: type[Model], *offered: Verb) -> None:
    """An app says what can be done to its rows; done when the app is ready."""
    OFFERS[kind] = Offer(kind, model, offered)


@dataclass
class Tally:
    """What became of a verb on many rows."""

    done: int = 0
    moved_on: int = 0
    refused: list[str] = field(default_factory=list)


def operate_permission(model: type[Model]) -> str:
    """The permission that every verb on the model asks for: the one it declares for them."""
    ((codename, _text),) = model._meta.permissions
    return f"{model._meta.app_label}.{codename}"


def apply(verb: Verb, rows: Iterable[Any], reason: str) -> Tally:
    """Do the verb to each row; one that is lost, refused or fails stops no other."""
    tally = Tally()
    for row in rows:
        try:
            done = verb.fits(row) and verb.run(row, reason)
        except Refused as error:
            tally.refused.append(f"{row}: {error}")
            continue
        except Exception as error:
            logger.exception("%s failed on %s %s", verb.name, type(row).__name__, row)
            tally.refused.append(f"{row}: {type(error).__name__}: {error}")
            continue
        tally.done += done
        tally.moved_on += not done
    return tally
