"""Envelopes, and what becomes of them, for the tests of the transport and its benchmarks."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from queues.browser.reports import Report
from queues.browser.signing import Envelope, Key, Keyring, parsed, sign_script
from queues.browser.transport import Transport

KEY = Key.of("a secret of the tests, long enough")
RING = Keyring([KEY])
SCRIPT = '{"steps":[]}'


def envelope(org: str | int = 1, script: str = SCRIPT, key: Key = KEY, **values: Any) -> Envelope:
    """A signed one, of a job of its own."""
    known: dict[str, Any] = {
        "job_id": str(uuid4()),
        "org_id": str(org),
        "user_id": "7",
        "provider_id": "3",
        "provider_name": "cargill",
        "flow_id": "5",
        "flow_version": "1.0.0",
        "script_content": script,
        "script_hash": hashlib.sha256(script.encode()).hexdigest(),
        "signature": sign_script(script, key),
        "key_id": key.id,
        "created_at": int(time.time() * 1000),
        "attempt": 1,
        "lease": uuid4().hex,
        "deadline": 0,
        "needs_session": False,
        "hosts": ["example.com"],
        "inputs": {},
        "metadata": {},
    }
    return Envelope(**{**known, **values}).signed(key)


def taken(transport: Transport, most: int = 1, worker: str = "w") -> list[Envelope]:
    return [parsed(raw) for raw in transport.take(worker, most)]


def started(transport: Transport, worker: str = "w") -> tuple[str, Envelope]:
    """The next job, begun by the worker."""
    (raw,) = transport.take(worker, 1)
    begun = parsed(raw)
    transport.started(worker, begun)
    return raw, begun


def done(job: Envelope, worker: str = "w", status: str = "done", **values: Any) -> Report:
    return Report.of("finished", job, worker, status=status, **values)


def told(transport: Transport, consumer: str = "c", **options: Any) -> list[Report]:
    """What was reported and not read, acknowledged."""
    read = transport.reports(consumer, **options)
    transport.acknowledge(entry for entry, _report in read)
    return [report for _entry, report in read]


def die(transport: Transport, worker: str = "w") -> None:
    """What the end of a worker's heartbeat leaves."""
    transport.client.delete(f"sri:worker:{worker}:heartbeat")


def status(transport: Transport, job: Envelope) -> Any:
    found: Any = transport.client.get(f"sri:job:{job.job_id}:status")
    return json.loads(found)


def ids(jobs: Iterable[Envelope | Report]) -> list[str]:
    return [job.job_id for job in jobs]
