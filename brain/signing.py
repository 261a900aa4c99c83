"""Signing keys: rotated without a pause, activated once the workers know them, revoked."""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from redis.exceptions import RedisError

from brain import sentences
from brain.models import Flow, SigningKey
from brain.models.signing_key import GRACE
from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused, Verb
from queues import jobs, live, webhooks
from queues.browser import scripts
from queues.browser.signing import Key, sign_script
from queues.errors import ErrorClass
from queues.models import Job, TramiteTask

logger = logging.getLogger(__name__)
Status = SigningKey.Status
WAITING_TASKS = (TramiteTask.Status.PENDING, TramiteTask.Status.HELD, TramiteTask.Status.IN_DOUBT)
ENDED = (Job.Status.QUEUED, Job.Status.HELD)  # by the end of their key
WAITING_JOBS = (Job.Status.QUEUED, Job.Status.HELD, Job.Status.IN_DOUBT)


class KeyRefused(Refused):
    """The key cannot be made, activated or revoked now; the message says why."""


@dataclass(frozen=True)
class Signed:
    """How many rows were put under the key that signs; `left`: flows that were not, since their
    script is not what was signed before."""

    flows: int
    tasks: int
    jobs: int = 0
    left: tuple[str, ...] = ()


# --- Rotation -----------------------------------------------------------------------------------


def rotate(reason: str) -> SigningKey:
    """A `new` key, which workers are to learn; KeyRefused where one waits already."""
    SigningKey.current()
    if waiting := SigningKey.objects.filter(status=Status.NEW).first():
        text = _("The key %(id)s waits already: activate or revoke it first.")
        raise KeyRefused(text % {"id": waiting.key_id})
    secret = secrets.token_hex(32)
    with transaction.atomic():
        row = SigningKey.objects.create(key_id=Key.of(secret).id, secret=secret)
        Event.record([row], "", row.status, reason)
    logger.info("signing key %s made", row.key_id)
    return row


def activate(key: SigningKey, reason: str, *, force: bool = False) -> Signed:
    """It signs from now on, what waits is signed with it, and the one before verifies for 90 days
    more. KeyRefused while a living worker does not know it, unless forced."""
    if not force:
        _expect_known(key)
    with transaction.atomic():
        _replace(key, reason)
        signed = resign()
        waiting = Job.objects.filter(status__in=WAITING_JOBS, published_at=None)
        signed = Signed(**{**asdict(signed), "jobs": _renew(waiting, key.key)})
        Event.record([key], key.status, key.status, sentences.SIGNED_ANEW, asdict(signed))
    return signed


def revoke(key: SigningKey, reason: str, *, force: bool = False) -> int:
    """Nothing that it signed runs any more; returns how many jobs ended by it.

    The key that signs makes room for the `new` one: KeyRefused where there is none, or workers do
    not know it. Forced, one is made, and workers refuse all jobs until they are given it.
    """
    with transaction.atomic():
        if key.status == Status.CURRENT:
            _replace(_successor(key, reason, force), reason)
            key.refresh_from_db()
        if not key.move(Status.REVOKED, reason, revoked_at=timezone.now()):
            raise KeyRefused(_("The key %(id)s was changed just now.") % {"id": key.key_id})
        resign()
    _tell_workers(key)
    ended = _end_jobs(key)
    logger.warning("signing key %s revoked, %s jobs ended", key.key_id, ended)
    return ended


def ignorant_workers(key: SigningKey) -> list[str]:
    """The living workers that do not know the key. Raises RedisError."""
    transport = live.transport()
    beats = transport.workers() if transport else []
    return [beat.worker for beat in beats if key.key_id not in beat.key_ids]


def _expect_known(key: SigningKey) -> None:
    try:
        ignorant = ignorant_workers(key)
    except RedisError as error:
        raise KeyRefused(_("Redis does not say which workers are alive.")) from error
    if ignorant:
        text = _("The key %(id)s is not known yet to: %(workers)s.")
        raise KeyRefused(text % {"id": key.key_id, "workers": ", ".join(ignorant)})


def _successor(key: SigningKey, reason: str, force: bool) -> SigningKey:
    waiting = SigningKey.objects.filter(status=Status.NEW).first()
    if waiting is None and not force:
        text = _("The key %(id)s signs: make a new one first, and give it to the workers.")
        raise KeyRefused(text % {"id": key.key_id})
    if waiting and not force:
        _expect_known(waiting)
    return waiting or rotate(reason)


def _replace(key: SigningKey, reason: str) -> None:
    """In the caller's transaction."""
    now = timezone.now()
    old = SigningKey.objects.select_for_update().get(status=Status.CURRENT)
    if key.status != Status.NEW:
        raise KeyRefused(_("The key %(id)s is not a new one.") % {"id": key.key_id})
    moved = old.move(Status.RETIRED, reason, expires_at=now + GRACE)
    if not moved or not key.move(Status.CURRENT, reason, activated_at=now):
        raise KeyRefused(_("The key %(id)s was changed just now.") % {"id": key.key_id})


def _tell_workers(key: SigningKey) -> None:
    transport = live.transport()
    try:
        if transport:
            transport.revoke_key(key.key_id)
    except RedisError:  # `tell_revoked` does it by and by
        logger.exception("the workers could not be told that key %s is revoked", key.key_id)


def tell_revoked() -> int:
    """Tell the workers of all revoked keys once more: Redis forgets when it is flushed."""
    rows = SigningKey.objects.filter(status=Status.REVOKED)
    for row in rows:
        _tell_workers(row)
    return len(rows)


def signed_jobs(key: SigningKey) -> int:
    """How many waiting jobs end where the key is revoked."""
    return Job.objects.filter(status__in=ENDED, key_id=key.key_id).count()


def _end_jobs(key: SigningKey) -> int:
    """The waiting ones that it signed; one that a worker has by now, that worker refuses."""
    said = sentences.KEY_REVOKED % {"id": key.key_id}
    waiting = Job.objects.filter(status__in=ENDED, key_id=key.key_id)
    return sum(_end_job(job, said) for job in waiting if not job.published_at or jobs.recall(job))


def _end_job(job: Job, said: str) -> bool:
    with transaction.atomic():
        ended = job.move(
            Job.Status.ERROR,
            said,
            guard={"lease_token": None},
            error_class=ErrorClass.PAYLOAD,
            error_log=said,
            processed_at=timezone.now(),
        )
        if ended:
            webhooks.announce(job)
    if ended:
        live.tell_ended([live.ended(job, "")])
    return ended


# --- What is signed -----------------------------------------------------------------------------


def resign() -> Signed:
    """Put all flows, and the tasks that carry one of them, under the key that signs. A script that
    is not what its own key signed is left: it was changed behind our back."""
    key = SigningKey.current().key
    flows = _renew(Flow.objects.all(), key)
    of_flows = Flow.objects.filter(key_id=key.id).values("script_hash")
    waiting = TramiteTask.objects.filter(status__in=WAITING_TASKS, script_hash__in=of_flows)
    left = Flow.objects.exclude(key_id=key.id).exclude(signature="").order_by("pk")
    return Signed(flows, _renew(waiting, key), left=tuple(map(str, left)))


def sign_unsigned() -> Signed:
    """Sign what was stored before there were signatures: flows, and waiting tasks with a script
    of these. What came later without one was not made by us."""
    key = SigningKey.current().key
    first = SigningKey.objects.order_by("pk")[0].created_at
    flows = _sign(Flow.objects.filter(signature="", created_at__lte=first), key)
    of_flows = Flow.objects.exclude(signature="").values("script_hash")
    waiting = TramiteTask.objects.filter(status__in=WAITING_TASKS, created_at__lte=first)
    tasks = _sign(waiting.filter(signature="", script_hash__in=of_flows), key)
    return Signed(flows, tasks)


def _renew(rows: QuerySet[Any], key: Key) -> int:
    """Of rows with script, hash and signature."""
    known = {row.key_id: row.key for row in SigningKey.objects.all()}
    done = 0
    for script, same in _scripts(rows.exclude(key_id=key.id).exclude(signature="")):
        (signature, key_id), *_more = same.values_list("signature", "key_id")[:1]
        made = sign_script(script, known[key_id]) if key_id in known else ""
        if hmac.compare_digest(made.encode(), signature.encode("utf-8", "replace")):
            done += same.update(signature=sign_script(script, key), key_id=key.id)
    return done


def _sign(rows: QuerySet[Any], key: Key) -> int:
    return sum(
        same.update(signature=sign_script(script, key), key_id=key.id)
        for script, same in _scripts(rows)
    )


def _scripts(rows: QuerySet[Any]) -> Iterator[tuple[str, QuerySet[Any]]]:
    """Each script that has its hash still, with the rows of that hash and signature: thousands of
    tasks carry the same one. A row among them whose script was changed gains nothing: the
    signature is not of its script."""
    names = ("script_hash", "signature", "key_id")
    for values in list(rows.order_by().values_list(*names).distinct()):
        same = rows.filter(**dict(zip(names, values, strict=True)))
        for script in same.order_by().values_list("script", flat=True).distinct():
            if scripts.sha256(script) == values[0]:
                yield script, same
                break


# --- What workers are given ---------------------------------------------------------------------


def workers_line() -> str:
    """What workers' environment holds: all keys that verify, the one that signs first. A secret:
    to be shown once, never logged."""
    return "SCRIPT_SIGNING_SECRET=" + ",".join(row.secret for row in _given())


def keys_file() -> list[dict[str, Any]]:
    """What `Keyring.read` takes."""
    return [
        {"secret": row.secret, "expiresAt": row.expires_at.timestamp() if row.expires_at else 0}
        for row in _given()
    ]


def write_keys_file(path: Path) -> None:
    """At once in whole, for nobody else to read. Raises OSError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(keys_file(), file, indent=1)
    new.replace(path)


def _given() -> list[SigningKey]:
    current = SigningKey.current()
    now = timezone.now()
    rest = SigningKey.objects.filter(status__in=(Status.NEW, Status.RETIRED))
    return [current, *(row for row in rest if not row.expires_at or row.expires_at > now)]


# --- What staff do ------------------------------------------------------------------------------


def _rotate(key: SigningKey, reason: str) -> bool:
    rotate(reason)
    return True


def _activate(key: SigningKey, reason: str) -> bool:
    activate(key, reason)
    return True


def _revoke(key: SigningKey, reason: str) -> bool:
    revoke(key, reason)
    return True


KEY_VERBS = (
    Verb(
        "rotate",
        gettext_lazy("Make the next key"),
        gettext_lazy(
            "A new key waits beside this one. Give it to the workers (manage.py rotatesigningkey"
            " --export), then activate it: until then nothing changes."
        ),
        _rotate,
        lambda key: key.status == Status.CURRENT,
        icon="autorenew",
        in_background=False,
    ),
    Verb(
        "activate",
        gettext_lazy("Activate"),
        gettext_lazy("Flows are signed with it from now on; the one before verifies for 90 days."),
        _activate,
        lambda key: key.status == Status.NEW,
        icon="verified",
    ),
    Verb(
        "revoke",
        gettext_lazy("Revoke"),
        gettext_lazy("Nothing that it signed runs any more: the jobs that wait with it end."),
        _revoke,
        lambda key: key.status != Status.REVOKED,
        icon="key_off",
        is_dangerous=True,
    ),
)
