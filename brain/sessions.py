"""Sessions that users lend to their jobs: connected, lent, lost, renewed.

The row is the truth; Redis holds a copy for isolated workers. The cookies leave this module as a
token under SESSION_KEYS only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from brain import rules, sentences
from brain.models import ConnectedProvider, Provider
from brain.models.provider import SESSION_LIFE
from orchestrator_site import sealing
from orchestrator_site.models import Event, Member, Organisation
from orchestrator_site.verbs import Refused
from queues import jobs, live
from queues.browser.signing import NO_SESSION
from queues.models import Job

logger = logging.getLogger(__name__)
Status = ConnectedProvider.Status


class CookiesRefused(Refused):
    """The cookies are too many, too long, malformed, or of hosts that are not the provider's."""


# --- What a user does ---------------------------------------------------------------------------


def connect(user: Any, provider: Provider, cookies: Any) -> ConnectedProvider:
    """Keep the session, encrypted, and let the jobs that waited for it go on. `cookies`: a list as
    documented, or its JSON text. Raises CookiesRefused, and Refused for who is no member."""
    organisation = _organisation_of(user)
    if not provider.active:
        raise Refused(_("The provider %(name)s is not active.") % {"name": provider})
    now = timezone.now()
    try:
        good = rules.parse_cookies(cookies, provider.all_hosts, now.timestamp())
    except ValueError as error:
        raise CookiesRefused(str(error)) from error
    kept = {
        "session": sealed(good, now),
        "connected_at": now,
        "expires_at": _end(good, now),
        "probed_at": None,
        "probe_error": "",
    }
    with transaction.atomic():
        row = _stored(organisation, user, provider, kept)
        transaction.on_commit(lambda: publish([row]))
        jobs.resume(organisation.pk, user.pk, str(provider.pk))
    logger.info("session of user %s at %s connected", user.pk, provider.name)
    return row


def disconnect(connection: ConnectedProvider, reason: str) -> bool:
    """Forget the cookies; jobs that wait for them stay held. False: it was done already."""
    return connection.status != Status.DISCONNECTED and _end_of(
        connection, Status.DISCONNECTED, reason
    )


def forget(user: Any) -> None:
    """The user has left its organisation: none of its sessions lives on."""
    for connection in ConnectedProvider.objects.filter(user=user):
        disconnect(connection, sentences.LEFT)


def _organisation_of(user: Any) -> Organisation:
    member = Member.objects.select_related("organisation").filter(user=user).first()
    if member is None:
        raise Refused(_("You belong to no organisation."))
    if not member.organisation.active:
        raise Refused(_("The organisation is not active."))
    return member.organisation


def _end(cookies: list[dict[str, Any]], now: datetime) -> datetime:
    last = rules.last_moment(cookies)
    whole = now + SESSION_LIFE
    return whole if last is None else min(whole, datetime.fromtimestamp(last, UTC))


def _stored(
    organisation: Organisation, user: Any, provider: Provider, kept: dict[str, Any]
) -> ConnectedProvider:
    of = {"organisation": organisation, "user": user, "provider": provider}
    try:
        with transaction.atomic():
            row = ConnectedProvider.objects.create(**of, **kept)
            Event.record([row], "", row.status, sentences.CONNECTED)
            return row
    except IntegrityError:
        row = ConnectedProvider.objects.select_for_update().get(**of)
        row.move(Status.ACTIVE, sentences.RENEWED, **kept)
        return row


# --- What becomes of it -------------------------------------------------------------------------


def expire(connection: ConnectedProvider, reason: str, **changes: Any) -> bool:
    """The session is dead: its waiting jobs are held until it is renewed. False: it was not
    active, or was renewed since this row was read."""
    return connection.status == Status.ACTIVE and _end_of(
        connection, Status.EXPIRED, reason, **changes
    )


def _end_of(connection: ConnectedProvider, to: str, reason: str, **changes: Any) -> bool:
    as_seen = {"connected_at": connection.connected_at}
    with transaction.atomic():
        if not connection.move(to, reason, guard=as_seen, session="", **changes):
            return False
        _hold_jobs(connection, reason)
        transaction.on_commit(lambda: _withdraw(connection))
    logger.warning("session %s is %s: %s", connection.pk, to, reason)
    return True


def _hold_jobs(connection: ConnectedProvider, reason: str) -> None:
    """Those that no worker was given yet. The others come back by themselves."""
    waiting = _jobs_of(connection).filter(status=Job.Status.QUEUED, published_at=None)
    Job.move_all(waiting, Job.Status.HELD, reason, guard={"lease_token": None})


def _jobs_of(connection: ConnectedProvider) -> Any:
    return Job.objects.filter(
        organisation=connection.organisation_id,
        user=connection.user_id,
        provider_id=str(connection.provider_id),
        needs_session=True,
    )


def token_for(job: Job) -> str:
    """The encrypted session that a job runs with; "" where there is none that lives."""
    row = _of(job)
    return row.session if row and row.is_alive(timezone.now()) else ""


def lend(job: Job) -> None:
    """Give the job's session to the workers once more, for as long as it lives."""
    row = _of(job)
    if row and row.is_alive(timezone.now()):
        publish([row])


def lost(job: Job) -> None:
    """The site showed its login page to a job, or its worker found no session.

    Nobody has tried a session that was not found, or was renewed since the job began: it lives
    on, is given to the workers again, and the job goes on with the next `keep`. Unless we cannot
    read it either.
    """
    row = _of(job)
    if row is None or row.status != Status.ACTIVE:
        return
    is_tried = job.error_log != NO_SESSION and not _is_renewed(row, job)
    if is_tried or not row.is_alive(timezone.now()) or not _is_readable(row):
        expire(row, sentences.SESSION_LOST)
    elif not _is_in_redis(row):
        publish([row])


def _is_readable(row: ConnectedProvider) -> bool:
    try:
        unsealed(row.session)
    except (InvalidToken, ValueError, KeyError, TypeError):
        return False
    return True


def _is_renewed(row: ConnectedProvider, job: Job) -> bool:
    return job.started_at is not None and row.connected_at > job.started_at


def _of(job: Job) -> ConnectedProvider | None:
    if not job.provider_id.isdecimal():
        return None
    rows = ConnectedProvider.objects.filter(organisation=job.organisation_id, user=job.user_id)
    return rows.filter(provider=int(job.provider_id)).select_related("provider").first()


# --- By the clock -------------------------------------------------------------------------------


def keep() -> dict[str, int]:
    """What time does to sessions: the old ones end, Redis gets back what it lost, and jobs that
    were held beside a living session go on."""
    now = timezone.now()
    over = ConnectedProvider.objects.filter(status=Status.ACTIVE, expires_at__lte=now)
    expired = sum(expire(row, sentences.SESSION_OVER) for row in over)
    wanted = _living_with_jobs(now)
    lacking = [row for row in wanted if not _is_in_redis(row)]
    publish(lacking)
    resumed = sum(
        jobs.resume(row.organisation_id, row.user_id, str(row.provider_id)) for row in wanted
    )
    return {"expired": expired, "published": len(lacking), "resumed": resumed}


def _living_with_jobs(now: datetime) -> list[ConnectedProvider]:
    """The sessions that jobs want now: others are put into Redis when one does."""
    live = Job.objects.filter(status__in=Job.LIVE, needs_session=True).order_by()
    asked = set(live.values_list("organisation", "user", "provider_id").distinct())
    users = {user for _organisation, user, _provider in asked}
    rows = ConnectedProvider.objects.filter(status=Status.ACTIVE, expires_at__gt=now)
    return [
        row
        for row in rows.filter(user__in=users).select_related("provider")
        if (row.organisation_id, row.user_id, str(row.provider_id)) in asked
    ]


# --- The copy in Redis --------------------------------------------------------------------------


def publish(rows: Iterable[ConnectedProvider]) -> None:
    """Give the workers these sessions. Where Redis is away `keep` does it later."""
    if (redis := live.transport()) is None:
        return
    for row in rows:
        seconds = int((row.expires_at - timezone.now()).total_seconds())
        try:
            redis.put_session(*_place(row), row.session, max(seconds, 1))
        except RedisError:
            logger.exception("session %s could not be given to the workers", row.pk)


def _withdraw(row: ConnectedProvider) -> None:
    if (redis := live.transport()) is None:
        return
    try:
        redis.drop_session(*_place(row))
    except RedisError:  # the worker's run ends at the site's login page
        logger.exception("session %s could not be taken from the workers", row.pk)


def _is_in_redis(row: ConnectedProvider) -> bool:
    """True where there is no Redis: nothing is lacking there."""
    redis = live.transport()
    try:
        return redis is None or redis.session(*_place(row)) == row.session
    except RedisError:
        return True  # nobody knows; it is asked again


def _place(row: ConnectedProvider) -> tuple[str, str, str]:
    return str(row.organisation_id), str(row.user_id), row.provider.name


# --- Sealed ------------------------------------------------------------------------------------


def sealed(cookies: list[dict[str, Any]], at: datetime) -> str:
    content = {"cookies": cookies, "connectedAt": int(at.timestamp() * 1000)}
    return sealing.fernet(settings.SESSION_KEYS).encrypt(json.dumps(content).encode()).decode()


def unsealed(token: str) -> list[dict[str, Any]]:
    """The cookies, for the probe. Raises InvalidToken."""
    content = sealing.fernet(settings.SESSION_KEYS).decrypt(token.encode())
    cookies: list[dict[str, Any]] = json.loads(content)["cookies"]
    return cookies
