"""A verb on many rows, in the background: resumable, and exactly known whatever dies.

Its rows are written down when it is asked for. A process that dies in the middle of a row leaves
that one as "not known", and it is never done again; the next process goes on behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, close_old_connections, transaction
from django.db.models import F, Model, QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestrator_site import sentences, verbs
from orchestrator_site.actors import acting_as, current_actor
from orchestrator_site.clock import db_now
from orchestrator_site.models import BulkAction, BulkPart, Event, Lease
from orchestrator_site.sessions import LEASE, Watch, me
from orchestrator_site.stopping import Stop
from orchestrator_site.verbs import OFFERS, Offer, Outcome, Refused, Result, Verb

Status = BulkAction.Status
logger = logging.getLogger(__name__)
KIND = "bulk-action"
PART = 100  # rows; an outcome is written with each row, together with those before it in the part
AT_ONCE = 100  # parts in one statement
AT_MOST = 100  # rows that a page does at once, while its reader waits
CANDIDATES = 50
NO_LIMIT = timedelta(days=365)
NO_SUCH_VERB = sentences.gettext_noop("there is no such action any more")
RINGS: list[Callable[[], None]] = []
Entry = str | tuple[str, str]  # a key, or a key with a value of its own


def when_asked(ring: Callable[[], None]) -> None:
    """An app says how a process is called that goes on with bulk actions."""
    RINGS.append(ring)


# --- Asking ---------------------------------------------------------------------------------------


def ask(
    offer: Offer, verb: Verb, rows: QuerySet[Any], reason: str, value: str = "", told: str = ""
) -> BulkAction:
    """Write down the verb and all rows of the query. `told`: the query, in words. Raises Refused
    where there are none, or the verb cannot be done so."""
    check(offer, verb, value)
    keys = rows.order_by("pk").values_list("pk", flat=True)
    with transaction.atomic():
        entries = (str(pk) for pk in keys.iterator(chunk_size=PART * AT_ONCE))
        return _written(offer, verb, entries, reason, value=value, filter=told)


def ring() -> None:
    """Have a process begin once this transaction is committed; without it a tick would, within a
    minute."""
    for one in RINGS:
        one()


def check(offer: Offer, verb: Verb, value: str) -> None:
    """Raises Refused where the verb is not for many rows, InvalidValue where its value is none."""
    if offer.kind == KIND or not verb.in_background:
        raise Refused(_("This is done to one row at a time."))
    if verb.argument is not None:
        verb.argument.value(value)


def _written(
    offer: Offer, verb: Verb, entries: Iterator[Entry], reason: str, **values: Any
) -> BulkAction:
    """In the caller's transaction."""
    actor = current_actor()
    action = BulkAction.objects.create(
        kind=offer.kind,
        verb=verb.name,
        reason=reason,
        actor_kind=actor.kind,
        actor=actor.name,
        language=translation.get_language() or "",
        **values,
    )
    for parts in _grouped(_parts(action, entries), AT_ONCE):
        BulkPart.objects.bulk_create(parts)
        action.total += sum(len(part.keys) for part in parts)
    if not action.total:
        raise Refused(_("There is no such row."))
    action.save(update_fields=["total"])
    Event.record([action], "", Status.QUEUED, reason, {"rows": action.total})
    return action


def _parts(action: BulkAction, entries: Iterator[Entry]) -> Iterator[BulkPart]:
    for position, keys in enumerate(_grouped(entries, PART)):
        yield BulkPart(bulk=action, position=position, keys=keys)


def _grouped(things: Iterator[Any], size: int) -> Iterator[list[Any]]:
    group: list[Any] = []
    for one in things:
        group.append(one)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


# --- Going on -------------------------------------------------------------------------------------


def session(stop: Stop, duration: timedelta) -> bool:
    """Go on with what waits, one bulk action after the other, for a while; whether some is left.
    At once done where another session is at it."""
    lease = Lease.acquire("bulk", me("bulk"), LEASE)
    if lease is None:
        return False
    watch = Watch(lease, stop, duration)
    try:
        while not watch.is_over() and not watch() and step(watch):
            close_old_connections()
    finally:
        lease.release()
    return not stop() and bool(_free())


def step(stopped: Callable[[], bool]) -> bool:
    """Go on with the oldest that nobody works on; False: there is none."""
    return any(carry_on(action, stopped) for action in _free())


def carry_on(action: BulkAction, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Go through its rows to the end, or until `stopped`; False where another process does."""
    lease = Lease.acquire(_lease(action), me("bulk"), LEASE)
    if lease is None:
        return False
    watch = Watch(lease, Stop(), NO_LIMIT)
    try:
        action.refresh_from_db()
        _Run(action, lambda: stopped() or watch()).go()
    finally:
        lease.release()
        action.refresh_from_db()
        vars(action).pop("counts", None)
        if not action.is_live:  # nobody will ask for it any more
            Lease.objects.filter(name=_lease(action), expires_at=None).delete()
    return True


def _lease(action: BulkAction) -> str:
    return f"bulk:{action.pk}"


def _free() -> list[BulkAction]:
    """What lives, or was stopped in the middle of a row by a death, and no process has."""
    live = list(BulkAction.objects.filter(status__in=BulkAction.LIVE).order_by("pk")[:CANDIDATES])
    cut = BulkPart.objects.exclude(under_way="").exclude(bulk__status__in=BulkAction.LIVE)
    found = [*live, *BulkAction.objects.filter(pk__in=cut.values("bulk"))]
    names = [_lease(action) for action in found]
    held = Lease.objects.filter(name__in=names, expires_at__gt=db_now())
    taken = set(held.values_list("name", flat=True))
    return [action for action in found if _lease(action) not in taken]


class _Run:
    """One process on one bulk action, whose lease it has."""

    def __init__(self, action: BulkAction, stopped: Callable[[], bool]) -> None:
        self.action, self.stopped = action, stopped
        self.verb = verb_of(action)

    def go(self) -> None:
        actor = acting_as(self.action.actor_kind, self.action.actor)
        with actor, translation.override(self.action.language or None):
            self._settle_cut_off()
            if self._begun() and all(self._through(part) for part in self._open_parts()):
                self.action.refresh_from_db()
                if self.action.status == Status.RUNNING and not self._has_more():
                    self.action.move(Status.DONE, ended_at=timezone.now())

    def _settle_cut_off(self) -> None:
        """Of the row that a process had under way when it died nobody knows."""
        for part in self.action.parts.exclude(under_way=""):
            outcome = part.noted("unsure", part.under_way)
            mine = BulkPart.objects.filter(pk=part.pk, under_way=part.under_way)
            mine.update(under_way="", outcome=outcome)

    def _begun(self) -> bool:
        action = self.action
        if action.is_live and self.verb is None:
            action.move(Status.CANCELLED, NO_SUCH_VERB, ended_at=timezone.now())
        if action.status == Status.QUEUED:
            action.move(Status.RUNNING, action.reason, started_at=timezone.now())
        return action.status == Status.RUNNING

    def _open_parts(self) -> Iterator[BulkPart]:
        """In order. Each is read when its turn comes."""
        last = -1
        while part := self._part_after(last):
            yield part
            last = part.position

    def _part_after(self, position: int) -> BulkPart | None:
        parts = self.action.parts.filter(is_ended=False, position__gt=position)
        return parts.order_by("position").first()

    def _has_more(self) -> bool:
        return self.action.parts.filter(is_ended=False).exists()

    def _through(self, part: BulkPart) -> bool:
        """False: to be left off, by a stop or because another process has it."""
        for place, (key, value) in enumerate(part.entries()):
            if place < part.reached:
                continue
            if self.stopped() or not self._take(part, place, key):
                return False
            if not self._note(part, key, self._done(key, value)):
                return False
        return self._close(part)

    def _take(self, part: BulkPart, place: int, key: str) -> bool:
        """Before the row is touched. Nobody takes it twice, and none of what was stopped."""
        running = BulkAction.objects.filter(pk=self.action.pk, status=Status.RUNNING)
        mine = BulkPart.objects.filter(pk=part.pk, reached=place, under_way="", bulk__in=running)
        return bool(mine.update(reached=place + 1, under_way=key))

    def _done(self, key: str, value: str) -> tuple[str, Any]:
        """The verb is done to the row: the name of the outcome, and what is written of it."""
        assert self.verb is not None
        try:
            row = OFFERS[self.action.kind].model._default_manager.filter(pk=key).first()
        except Exception as error:  # a secret without its key: it keeps no other row waiting
            logger.exception("row %s of %s cannot be read", key, self.action)
            return Result.REFUSED, [key, f"{key}: {type(error).__name__}: {error}"]
        if row is None:  # deleted since
            return Result.MOVED_ON, key
        outcome = verbs.do(self.verb, row, self.action.reason, value or self.action.value)
        return outcome.result, _entry(key, row, outcome)

    def _note(self, part: BulkPart, key: str, noted: tuple[str, Any]) -> bool:
        """False: this process was taken for dead, and the row for unsure."""
        outcome = part.noted(*noted)
        mine = BulkPart.objects.filter(pk=part.pk, under_way=key)
        if not mine.update(under_way="", outcome=outcome):
            return False
        part.outcome = outcome
        return True

    def _close(self, part: BulkPart) -> bool:
        counts = {name: F(name) + len(entries) for name, entries in part.outcome.items()}
        with transaction.atomic():
            if not BulkPart.objects.filter(pk=part.pk, is_ended=False).update(is_ended=True):
                return False
            BulkAction.objects.filter(pk=self.action.pk).update(**counts)
        return True


def _entry(key: str, row: Model, outcome: Outcome) -> Any:
    if outcome.result is Result.DONE:
        return [key, outcome.before]
    return [key, f"{row}: {outcome.why}"] if outcome.result is Result.REFUSED else key


# --- What people do -------------------------------------------------------------------------------


def stop(action: BulkAction, reason: str) -> bool:
    """Leave the rest of its rows alone; the one under way is ended."""
    return action.is_live and action.move(Status.CANCELLED, reason, ended_at=timezone.now())


def can_be_undone(action: BulkAction) -> bool:
    return (
        not action.is_live
        and _undo_verb(action) is not None
        and bool(action.counts["done"])
        and not BulkAction.objects.filter(undoes=action).exists()
    )


def undo(action: BulkAction, reason: str) -> bool:
    """Ask for the verb that takes it back, on the rows that it was done to."""
    verb = _undo_verb(action)
    if action.is_live or verb is None:
        return False
    try:
        with transaction.atomic():
            entries = _to_undo(action, with_value=verb.argument is not None)
            _written(OFFERS[action.kind], verb, entries, reason, undoes=action)
            ring()
    except IntegrityError:  # somebody else was faster
        return False
    return True


def verb_of(action: BulkAction) -> Verb | None:
    """None: it was taken out of the code."""
    offer = OFFERS.get(action.kind)
    return offer.called(action.verb) if offer else None


def _undo_verb(action: BulkAction) -> Verb | None:
    verb = verb_of(action)
    return OFFERS[action.kind].undo_of(verb) if verb else None


def _to_undo(action: BulkAction, with_value: bool) -> Iterator[Entry]:
    for part in _reached(action):
        for key, before in part.outcome.get("done", ()):
            yield (key, before) if with_value else key


# --- Telling --------------------------------------------------------------------------------------


def lines(action: BulkAction, outcomes: Sequence[str] = ()) -> Iterable[tuple[str, str, str]]:
    """The rows gone through: key, outcome, and why it was refused or the value before. Of
    `outcomes` alone, where there are any."""
    for part in _reached(action, outcomes):
        for line in part.lines():
            if not outcomes or line[1] in outcomes:
                yield line


def _reached(action: BulkAction, outcomes: Sequence[str] = ()) -> Iterator[BulkPart]:
    """Read one after the other: a million rows need not be in the memory."""
    parts = action.parts.filter(reached__gt=0).order_by("position")
    if outcomes:
        parts = parts.filter(outcome__has_any_keys=list(outcomes))
    return parts.iterator(chunk_size=AT_ONCE)


BULK_VERBS = (
    Verb(
        "stop",
        gettext_lazy("Stop"),
        gettext_lazy("The rows that are left are not touched. What was done stays done."),
        stop,
        lambda action: action.is_live,
        icon="stop_circle",
        is_dangerous=True,
        in_background=False,
    ),
    Verb(
        "undo",
        gettext_lazy("Undo"),
        gettext_lazy(
            "The rows that it was done to are put back by the action that takes it back, as far as"
            " they are still in a state for it."
        ),
        undo,
        can_be_undone,
        icon="undo",
        in_background=False,
    ),
)
