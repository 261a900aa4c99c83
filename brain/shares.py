"""The generators' shares: set together, by level and generator, and kept in history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from brain import sentences
from brain.distribution import Level
from orchestrator_site.actors import current_actor
from orchestrator_site.models import Event
from orchestrator_site.models.event import Note
from queues.models import Generator, ShareChange

Shares = Mapping[str, Mapping[str, int]]  # by level, then by generator's name
WHOLE = 100
LEVEL_NAMES = {
    Level.GOOD: gettext_lazy("Good"),
    Level.NORMAL: gettext_lazy("Normal"),
    Level.BAD: gettext_lazy("Bad"),
}
LEVEL_TONES = {Level.GOOD: "ok", Level.NORMAL: "busy", Level.BAD: "bad"}


class InvalidShares(Exception):
    """Shares that cannot be; `messages` names each problem."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__(" ".join(messages))
        self.messages = list(messages)


class SharesMoved(Exception):
    """Somebody set shares after the caller had looked; `change` is the newest."""

    def __init__(self, change: ShareChange) -> None:
        text = _("%(who)s has set other shares meanwhile: %(reason)s")
        super().__init__(text % {"who": change.by or "-", "reason": change.reason})
        self.change = change


@dataclass(frozen=True)
class Merged:
    """Shares to offer; `disputed`: the levels that both sides changed, not to the same."""

    shares: Mapping[str, Mapping[str, Any]]
    disputed: frozenset[str]


@dataclass(frozen=True)
class Told:
    """A change and what it changed, in words."""

    change: ShareChange
    differences: list[str]


def current() -> dict[str, dict[str, int]]:
    rows = list(Generator.objects.order_by("rotation_order"))
    return _by_level(rows)


def last_id() -> int:
    """The newest change; 0: nobody has set shares yet."""
    newest = ShareChange.objects.first()
    return newest.pk if newest else 0


def check(shares: Shares, names: Sequence[str]) -> None:
    """Raises InvalidShares: each level has a whole number for each generator, 100 in all."""
    problems = [
        problem for level in Level for problem in _problems(level, shares.get(level, {}), names)
    ]
    if unknown := set(shares) - set(Level):
        problems.append(_("Unknown levels: %s.") % _listed(unknown))
    if problems:
        raise InvalidShares(problems)


def put(shares: Shares, reason: str, seen: int | None = None) -> ShareChange | None:
    """Set all shares at once; None where they are as they were.

    `seen` is the `last_id` that the caller went by; None sets them whatever others did since.
    Raises InvalidShares and SharesMoved.
    """
    with transaction.atomic():
        rows = list(Generator.objects.select_for_update().order_by("rotation_order"))
        _refuse_late(seen)
        check(shares, [row.name for row in rows])
        before = _by_level(rows)
        told = {str(level): dict(shares[level]) for level in Level}
        if told == before:
            return None
        _keep_first(before)
        _write(rows, told)
        change = ShareChange.objects.create(by=str(current_actor()), reason=reason, shares=told)
        Event.record([change], "", "shares set", reason, told)
        return change


def revert(change: ShareChange, reason: str, seen: int | None = None) -> ShareChange | None:
    """Set the shares as they were after that change. Raises InvalidShares and SharesMoved."""
    return put(_for_those_there(change), reason, seen)


def as_of(seen: int) -> dict[str, dict[str, int]] | None:
    """The shares that held when `seen` was the `last_id`; None: there was no such change."""
    rows = ShareChange.objects.all()
    # Before anybody set shares they were as the first row of the history has them.
    row = rows.filter(pk=seen).first() if seen else rows.last()
    return _for_those_there(row) if row else None


def merged(typed: Shares, base: Shares | None, now: Shares) -> Merged:
    """What somebody who went by `base` changed in it, on top of what holds `now`, level by level.

    A level that both changed is as typed. Without a base nobody knows who changed what: both did.
    """
    ours = {level for level in now if base is None or typed[level] != base[level]}
    theirs = {level for level in now if base is None or now[level] != base[level]}
    disputed = {level for level in ours & theirs if typed[level] != now[level]}
    offered = {level: (typed if level in ours else now)[level] for level in now}
    return Merged(offered, frozenset(disputed))


def switch(generator: Generator, enabled: bool, reason: str) -> bool:
    """Let the generator take part, or not; False where it is so already."""
    other = Q(enabled=not enabled)
    old, new = ("disabled", "enabled") if enabled else ("enabled", "disabled")
    note = Note.of(Generator, old, new, reason)
    return bool(Generator.change_all([generator], other, note, enabled=enabled))


def history(most: int) -> list[Told]:
    """The newest changes, newest first."""
    rows = list(ShareChange.objects.all()[: most + 1])
    told = [
        Told(row, differences(older.shares, row.shares) if older else [])
        for row, older in zip_longest(rows, rows[1:])
    ]
    return told[:most]


def differences(old: Shares, new: Shares) -> list[str]:
    """What changed, a line a level: "Good: G_IAD 25 → 30, G_SISEC 10 → 5"."""
    lines = [(LEVEL_NAMES[level], _changed(old[level], new[level])) for level in Level]
    return [f"{name}: {', '.join(changed)}" for name, changed in lines if changed]


def _changed(old: Mapping[str, int], new: Mapping[str, int]) -> list[str]:
    names = sorted(old.keys() | new.keys())
    pairs = [(name, old.get(name, 0), new.get(name, 0)) for name in names]
    return [f"{name} {was} → {now}" for name, was, now in pairs if was != now]


def _for_those_there(change: ShareChange) -> dict[str, dict[str, int]]:
    """A generator that came later has 0, one that is gone is left out."""
    names = list(Generator.objects.values_list("name", flat=True))
    return {
        level: {name: row.get(name, 0) for name in names} for level, row in change.shares.items()
    }


def _by_level(rows: Sequence[Generator]) -> dict[str, dict[str, int]]:
    return {str(level): {row.name: row.shares[level] for row in rows} for level in Level}


def _write(rows: Sequence[Generator], shares: Shares) -> None:
    names = [f"share_{level}" for level in Level]
    for row in rows:
        for level in Level:
            setattr(row, f"share_{level}", shares[level][row.name])
    Generator.objects.bulk_update(rows, names)


def _refuse_late(seen: int | None) -> None:
    newest = ShareChange.objects.first()
    if seen is not None and newest and newest.pk != seen:
        raise SharesMoved(newest)


def _problems(level: Level, row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    told: dict[str, Any] = {"level": LEVEL_NAMES[level]}
    if set(row) != set(names):
        text = _("%(level)s: missing or unknown generators: %(names)s.")
        return [text % {**told, "names": _listed(set(row) ^ set(names))}]
    if any(type(share) is not int or not 0 <= share <= WHOLE for share in row.values()):
        return [_("%(level)s: each share is a whole number from 0 to 100.") % told]
    total = sum(row.values())
    text = _("%(level)s: the shares sum to %(total)d instead of 100.")
    return [] if total == WHOLE else [text % {**told, "total": total}]


def _listed(names: Iterable[str]) -> str:
    """Escaped: what people send as a name may hold what no answer can."""
    return ", ".join(name.encode("unicode_escape").decode() for name in sorted(names))


def _keep_first(before: Shares) -> None:
    """The shares that nobody set can be gone back to as well."""
    if not ShareChange.objects.exists():
        ShareChange.objects.create(by="", reason=sentences.AT_FIRST, shares=before)
