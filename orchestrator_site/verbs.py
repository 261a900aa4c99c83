"""Verbs: what a person does to a row. Declared once; admin, API and commands offer them all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model
from django.utils.functional import Promise

logger = logging.getLogger(__name__)
Text = str | Promise


class Refused(Exception):
    """The verb cannot be done to the row; the message says why, and what to do."""


@dataclass(frozen=True)
class Verb:
    """`run(row, reason)` does it: False where the row had moved on; it may raise Refused."""

    name: str
    label: Text
    consequence: Text  # what will happen, for the confirmation
    run: Callable[[Any, str], bool]
    fits: Callable[[Any], bool]  # whether the row is in a state for it
    icon: str = "bolt"
    is_dangerous: bool = False

    @property
    def path(self) -> str:
        return self.name.replace("_", "-")


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
