"""`main_config` as its document has it: the shares as positional arrays, and who takes part."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from brain import shares
from brain.distribution import Level
from brain.shares import InvalidShares, Shares
from queues.models import Generator, ShareChange


@dataclass(frozen=True)
class Setting:
    """What a document asks for. `enabled` has the generators whose flag it names."""

    shares: Shares
    enabled: Mapping[str, bool]

    def differences(self) -> list[str]:
        """What it would change now, in words; empty: nothing."""
        return [*shares.differences(shares.current(), self.shares), *self._switched()]

    def _switched(self) -> list[str]:
        rows = Generator.objects.filter(name__in=self.enabled)
        word = {True: _("is enabled"), False: _("is disabled")}
        return [
            f"{row.name} {word[self.enabled[row.name]]}"
            for row in rows
            if row.enabled != self.enabled[row.name]
        ]


def order(rows: Iterable[Generator] | None = None) -> list[str]:
    """The generators' names in the order of the arrays; `rows`: where they are known already."""
    known = _rows() if rows is None else sorted(rows, key=lambda row: row.array_position)
    return [row.name for row in known]


def export() -> dict[str, Any]:
    """`distribution_good` and the others, and the flags."""
    rows = _rows()
    arrays = {_array(level): [row.shares[level] for row in rows] for level in Level}
    return {**arrays, **{_flag(row): row.enabled for row in rows}}


def parse(text: str) -> Setting:
    """Read a document; `read` says what is refused."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidShares([_("This is not JSON: %s.") % error]) from error
    if not isinstance(document, dict):
        raise InvalidShares([_("A JSON object is expected, such as exportshares writes.")])
    return read(document)


def read(document: Mapping[str, Any]) -> Setting:
    """Raises InvalidShares: each array has one number for each generator, in the arrays' order,
    100 in all, and flags are true or false. Other keys are left alone."""
    rows = _rows()
    problems = [text for level in Level for text in _misfit(document, level, rows)]
    flags = {row.name: document[_flag(row)] for row in rows if _flag(row) in document}
    if wrong := [name for name, flag in flags.items() if not isinstance(flag, bool)]:
        problems.append(_("Neither true nor false: the flags of %s.") % ", ".join(wrong))
    if problems:
        raise InvalidShares(problems)
    names = [row.name for row in rows]
    found = {str(level): dict(zip(names, document[_array(level)], strict=True)) for level in Level}
    shares.check(found, names)
    return Setting(found, flags)


def write(setting: Setting, reason: str, seen: int | None = None) -> ShareChange | None:
    """Set the shares and the flags, all of it or nothing; None: the shares are as they were.

    `seen` as for `shares.put`. Raises InvalidShares and SharesMoved.
    """
    with transaction.atomic():
        change = shares.put(setting.shares, reason, seen)
        for row in Generator.objects.filter(name__in=setting.enabled):
            shares.switch(row, setting.enabled[row.name], reason)
        return change


def _rows() -> list[Generator]:
    return list(Generator.objects.order_by("array_position"))


def _array(level: Level) -> str:
    return f"distribution_{level}"


def _flag(row: Generator) -> str:
    return f"{row.short_name.lower()}_enabled"


def _misfit(document: Mapping[str, Any], level: Level, rows: Sequence[Generator]) -> list[str]:
    array = document.get(_array(level))
    if isinstance(array, list) and len(array) == len(rows):
        return []
    names = ", ".join(row.name for row in rows)
    text = _("%(array)s must be a list of %(count)d numbers: %(order)s.")
    return [text % {"array": _array(level), "count": len(rows), "order": names}]
