"""Having another go at what was set aside."""

from __future__ import annotations

from typing import Any

from bson import json_util
from django.db import transaction
from django.utils.translation import gettext as _

from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused
from queues.mirror import asking, door
from queues.mirror.kinds import MAIN, MINI, NBC, WORKS, Place
from queues.models import MirrorChange, SetAside

SET_ASIDE, AGAIN = "set aside", "tried again"


def publish_again(change: MirrorChange, reason: str) -> bool:
    """Tell Mongo of the row once more, as it stands."""
    with transaction.atomic():
        done = change.retry(reason)
        if done:
            _record(change, reason, {"document": str(change), "error": change.error})
    return done


def read_again(row: SetAside, reason: str) -> bool:
    """Forget that the document was set aside: what looks at its collection looks at it again.
    Raises Refused where Mongo is away."""
    _id = _id_of(row)
    try:
        with asking.briefly():
            _take_mark_off(place_of(row.collection), _id)
    except asking.Away as error:
        raise Refused(str(error)) from error
    with transaction.atomic():
        deleted, _each = SetAside.objects.filter(pk=row.pk).delete()
        if deleted:
            _record(row, reason, {"document": str(row), "reason": row.reason})
    return bool(deleted)


def place_of(collection: str) -> Place:
    """Collections are known by their names alone: those of people and work records are of the
    one database, all others of the other."""
    return (MAIN if collection in (NBC[1], WORKS[1]) else MINI, collection)


def _id_of(row: SetAside) -> Any:
    try:
        return json_util.loads(row.document)["_id"]
    except (ValueError, TypeError, KeyError) as error:  # cut off: too long for its column
        told = _("Its _id cannot be read. Unset `_mirror` in the document by hand.")
        raise Refused(told) from error


def _take_mark_off(place: Place, _id: Any) -> None:
    """What else the mirror knows of the document stays. One that is gone has no mark."""
    found = door.collection(place).find_one({"_id": _id}, {"_mirror": 1}) or {}
    mirror = found.get("_mirror")
    if isinstance(mirror, dict) and "refused" in mirror:
        mark = "_mirror" if set(mirror) == {"refused"} else "_mirror.refused"
        guard = {"_id": _id, "_mirror.refused": mirror["refused"], "_mirror.v": mirror.get("v")}
        door.collection(place).update_one(guard, {"$unset": {mark: ""}})


def _record(row: MirrorChange | SetAside, reason: str, data: dict[str, str]) -> None:
    Event.record([row], SET_ASIDE, AGAIN, reason, data=data)
