"""`imss_config` / `main_config` in Mongo: shares and flags that both sides may set.

The document keeps what the mirror wrote into it last. What reads otherwise there was edited by the
outside, and counts; what cannot be is set aside and overwritten. A change of ours that is not
written yet is the newer word. A document that the mirror never wrote is an edit of the outside.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from brain import main_config, sentences
from brain.shares import InvalidShares
from queues.mirror import door
from queues.mirror.incoming.comparing import marked, write_back
from queues.mirror.incoming.refusing import Refusals, Unreadable
from queues.mirror.incoming.values import whole
from queues.mirror.kinds import CONFIG, Document, Kind

KEY = "main_config"
WROTE = "_mirror.wrote"


def read() -> int:
    """Take in what was edited there; 1 where it was."""
    refusals = Refusals(CONFIG)
    document = next(refusals.documents({"_id": KEY}), None)
    if document is None:
        write_back(KIND.name, [KEY])
        return 0
    is_strange = "_mirror" not in document
    if not is_strange and (_is_as_written(document) or marked(KIND.name, [KEY])):
        return 0
    taken = refusals.judge(document, lambda: _apply(document))
    if is_strange:
        _note_as_read(document)
    write_back(KIND.name, [KEY])
    return taken


def _apply(document: Mapping[str, Any]) -> bool:
    """True where that changed something. Raises Unreadable."""
    try:
        setting = main_config.read(_told(document))
        is_news = bool(setting.differences())
        main_config.write(setting, sentences.EDITED_IN_MONGO)
    except InvalidShares as error:
        raise Unreadable(str(error)) from error
    return is_news


def _is_as_written(document: Mapping[str, Any]) -> bool:
    mirror = document["_mirror"]
    wrote = mirror.get("wrote") if isinstance(mirror, dict) else None
    return bool(wrote == _canonical(_told(document)))


def _note_as_read(document: Mapping[str, Any]) -> None:
    """From now on the publisher writes it."""
    first = {"_id": KEY, "_mirror": None}
    noted = {"$set": {WROTE: _canonical(_told(document))}}
    door.collection(CONFIG).update_one(first, noted)


def _told(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the document says of what is mirrored."""
    ours = main_config.export()
    return {name: _plain(document[name], one) for name, one in ours.items() if name in document}


def _plain(value: Any, ours: Any) -> Any:
    """As we write it: a flag may be there as 1 or 0, a share as 25.0."""
    if isinstance(value, list):
        return [whole(one) for one in value]
    is_flag = isinstance(ours, bool) and whole(value) in (0, 1)
    return bool(value) if is_flag else value


def _canonical(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)


def _documents(keys: Collection[str]) -> dict[str, Document]:
    if KEY not in keys:
        return {}
    values = main_config.export()
    owned = {**values, WROTE: _canonical(values)}
    # One that was never read is left alone until it was.
    return {KEY: Document(CONFIG, ("_id", KEY), owned, unless={"_mirror": None})}


def _keys() -> Iterable[str]:
    return [KEY]


KIND = Kind(
    "config",
    f"'{KEY}'",
    {
        "imss_generators": (
            *("short_name", "enabled", "array_position"),
            *("share_good", "share_normal", "share_bad"),
        )
    },
    _documents,
    _keys,
)
