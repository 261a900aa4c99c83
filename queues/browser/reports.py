"""What workers say over the transport: reports on attempts at jobs, and heartbeats."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from queues.browser.signing import Envelope


class NotReadable(ValueError):
    """What stands in Redis is not what this project writes there."""


@dataclass(frozen=True)
class Report:
    """What a worker, or Redis for a dead one, says of one attempt at a job.

    `kind`: started (a second time with `begun`, before the irrevocable step), finished, refused,
    returned or lost. `status`: done, error, cancelled, or empty where that is in doubt. `lease` is
    empty for what is no attempt of the control plane's: a replayed or forged envelope.
    """

    kind: str
    job_id: str
    org_id: str
    attempt: int = 0
    lease: str = ""
    worker: str = ""
    at: int = field(default_factory=lambda: int(time.time() * 1000))  # milliseconds since 1970
    status: str = ""
    error_class: str = ""
    message: str = ""
    begun: bool = False
    confirmed: bool = False
    results: list[dict[str, Any]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, kind: str, envelope: Envelope, worker: str, **more: Any) -> Report:
        """On that attempt."""
        return cls(
            kind=kind,
            job_id=envelope.job_id,
            org_id=envelope.org_id,
            attempt=envelope.attempt,
            lease=envelope.lease,
            worker=worker,
            **more,
        )

    @classmethod
    def parsed(cls, text: str) -> Report:
        """Raises NotReadable."""
        return cls(**_read(text, REPORT_WIRE, REPORT_TYPES))

    def to_json(self) -> str:
        return _written(self, REPORT_WIRE)

    @property
    def announcement(self) -> str:
        """What an organisation's `done` channel tells of an end: the one shape it has."""
        told = {REPORT_WIRE[name]: getattr(self, name) for name in ANNOUNCED}
        return json.dumps(told, ensure_ascii=False)


@dataclass(frozen=True)
class WorkerBeat:
    """A worker's heartbeat. `jobs`: the ids of those it runs, `key_ids`: its keys'."""

    worker: str
    at: int = field(default_factory=lambda: int(time.time() * 1000))  # milliseconds since 1970
    jobs: list[str] = field(default_factory=list)
    key_ids: list[str] = field(default_factory=list)
    version: str = ""
    capacity: int = 0

    @classmethod
    def parsed(cls, text: str) -> WorkerBeat:
        """Raises NotReadable."""
        return cls(**_read(text, BEAT_WIRE, BEAT_TYPES))

    def to_json(self) -> str:
        return _written(self, BEAT_WIRE)


ANNOUNCED = ("job_id", "org_id", "status", "message", "results", "at")
ORIGINS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (float, int),
    "list": (list,),
    "dict": (dict,),
}


def _wire(model: type) -> dict[str, str]:
    """Field by field, the name in JSON."""
    names = [one.name for one in fields(model)]
    return {name: name[0] + name.title().replace("_", "")[1:] for name in names}


def _types(model: type) -> dict[str, tuple[type, ...]]:
    return {one.name: ORIGINS[str(one.type).partition("[")[0]] for one in fields(model)}


REPORT_WIRE = _wire(Report) | {"at": "finishedAt"}
BEAT_WIRE = _wire(WorkerBeat)
REPORT_TYPES, BEAT_TYPES = _types(Report), _types(WorkerBeat)


def _written(row: Any, wire: Mapping[str, str]) -> str:
    return json.dumps({wire[name]: getattr(row, name) for name in wire}, ensure_ascii=False)


def _read(text: str, wire: Mapping[str, str], types: Mapping[str, Any]) -> dict[str, Any]:
    """The known fields in `text`, each of its type. Raises NotReadable."""
    try:
        raw = json.loads(text)
        found = {name: raw[wire[name]] for name in wire if wire[name] in raw}
    except (ValueError, TypeError, RecursionError) as error:
        raise NotReadable("not a JSON object") from error
    wrong = [name for name, value in found.items() if type(value) not in types[name]]
    missing = {"kind", "job_id", "org_id", "worker"} & set(wire) - set(found)
    if wrong or missing:
        raise NotReadable(f"wrong {wrong}, missing {sorted(missing)}")
    return found
