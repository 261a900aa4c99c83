"""Whether sessions still live: the provider is asked with their cookies, now and then."""

from __future__ import annotations

import html
import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from socket import SHUT_RDWR, socket
from urllib.parse import urljoin, urlsplit

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from brain import rules, sentences, sessions
from brain.models import ConnectedProvider
from orchestrator_site import addresses
from orchestrator_site.models import Lease
from orchestrator_site.sessions import me
from queues import connecting

logger = logging.getLogger(__name__)
LEASE_NAME = "session probes"
EVERY = timedelta(minutes=15)  # each session
AT_MOST = 40.0  # seconds of one visit to the sessions that are due
LEASE = timedelta(seconds=AT_MOST + 60)
PROBE_SECONDS = 15.0
MOST_BYTES = 2**20
MOST_HOPS = 3
REDIRECTS = (301, 302, 303, 307, 308)
SIGNED_OUT = (401, 403, 419, 440)
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"


class ProbeFailed(Exception):
    """Nothing was learned: the network, or a page that says neither yes nor no."""


@dataclass(frozen=True)
class Page:
    """An answer, as far as it was read."""

    url: str
    status: int
    location: str
    text: str


def probe(connection: ConnectedProvider) -> bool | None:
    """Ask now: True it lives, False it is dead (and expired by this), None nobody knows, or there
    is nothing to ask."""
    provider = connection.provider
    if connection.status != ConnectedProvider.Status.ACTIVE or not provider.probe_url:
        return None
    try:
        complaint = _complaint(connection)
    except (ProbeFailed, InvalidToken, addresses.AddressRefused) as error:
        unreadable = isinstance(error, InvalidToken)
        why = sentences.SESSION_UNREADABLE if unreadable else str(error)
        _note(connection, sentences.PROBE_FAILED % {"error": why})
        return None
    if complaint:
        now = timezone.now()
        reason = sentences.PROBE_DEAD
        sessions.expire(connection, reason, probed_at=now, probe_error=complaint)
        return False
    _note(connection, "")
    return True


def probe_due() -> dict[str, int]:
    """Those that were not asked for a quarter of an hour, for at most a while; one process at a
    time does it."""
    lease = Lease.acquire(LEASE_NAME, me(LEASE_NAME), LEASE)
    counts = {"living": 0, "dead": 0, "unknown": 0}
    if lease is None:
        return counts
    until = time.monotonic() + AT_MOST
    try:
        for row in _due():
            if time.monotonic() > until:
                break
            counts[{True: "living", False: "dead", None: "unknown"}[probe(row)]] += 1
    finally:
        lease.release()
    return counts


def _due() -> list[ConnectedProvider]:
    now = timezone.now()
    rows = ConnectedProvider.objects.filter(
        Q(probed_at=None) | Q(probed_at__lt=now - EVERY),
        status=ConnectedProvider.Status.ACTIVE,
        expires_at__gt=now,
        connected_at__lt=now - timedelta(minutes=1),
        provider__active=True,
    )
    rows = rows.exclude(provider__probe_url="").select_related("provider")
    return list(rows.order_by(F("probed_at").asc(nulls_first=True), "pk")[:1000])


def _note(connection: ConnectedProvider, problem: str) -> None:
    """Of the session that was asked: a renewed one has not been."""
    same = {"pk": connection.pk, "connected_at": connection.connected_at}
    connection.probed_at, connection.probe_error = timezone.now(), problem
    changed = {"probed_at": connection.probed_at, "probe_error": problem}
    ConnectedProvider.objects.filter(**same).update(**changed)


def _complaint(connection: ConnectedProvider) -> str:
    """Why the session is dead; "" where it lives. Raises ProbeFailed, InvalidToken,
    AddressRefused."""
    provider = connection.provider
    page = _page(connection)
    if page.status in SIGNED_OUT:
        return sentences.PROBE_STATUS % {"status": page.status}
    if page.status in REDIRECTS:
        where = urlsplit(page.location).netloc or page.location
        return sentences.PROBE_REDIRECTED % {"where": where[:200]}
    if not 200 <= page.status < 300:
        raise ProbeFailed(sentences.PROBE_STATUS % {"status": page.status})
    wanted = provider.probe_text
    if wanted and wanted not in page.text and wanted not in html.unescape(page.text):
        return sentences.PROBE_TEXT_MISSING
    return ""


def _page(connection: ConnectedProvider) -> Page:
    """Redirects are followed as far as they stay at the same host, with the same scheme."""
    cookies = sessions.unsealed(connection.session)
    until = time.monotonic() + PROBE_SECONDS
    page = _got(connection.provider.probe_url, cookies, until)
    for _hop in range(MOST_HOPS):
        if page.status not in REDIRECTS or not _is_beside(page.url, page.location):
            break
        page = _got(page.location, cookies, until)
    return page


def _is_beside(url: str, location: str) -> bool:
    try:
        return urlsplit(url)[:2] == urlsplit(location)[:2]
    except ValueError:
        return False


def _got(url: str, cookies: list[rules.Cookie], until: float) -> Page:
    """One GET, to an address that was checked. Raises ProbeFailed, AddressRefused."""
    networks = (addresses.PUBLIC, *settings.EGRESS_ALLOWED_NETWORKS)
    found = addresses.resolve(url, networks=networks, hosts=())
    try:
        connection = connecting.connected(url, found, until)
    except OSError as error:
        raise ProbeFailed(f"{type(error).__name__}: {error}") from error
    cut = threading.Timer(max(until - time.monotonic(), 0.0), _cut, (connection,))
    cut.start()
    try:
        return _asked(connection, url, rules.cookie_header(cookies, url, time.time()))
    except (OSError, HTTPException, ValueError) as error:
        raise ProbeFailed(f"{type(error).__name__}: {error}"[:300]) from error
    finally:
        cut.cancel()
        connection.close()


def _cut(connection: socket) -> None:
    """However slowly an answer drips."""
    with suppress(OSError):
        connection.shutdown(SHUT_RDWR)


def _asked(connection: socket, url: str, cookie: str) -> Page:
    parts = urlsplit(url)
    sender = HTTPConnection(parts.netloc)
    sender.sock = connection
    headers = {"User-Agent": AGENT, "Accept": "text/html,*/*", "Connection": "close"}
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sender.request("GET", target, headers=headers | ({"Cookie": cookie} if cookie else {}))
    with sender.getresponse() as response:
        body = response.read(MOST_BYTES)
        charset = response.headers.get_content_charset() or "utf-8"
        location = urljoin(url, response.headers.get("Location") or "")
        return Page(url, response.status, location, _decoded(body, charset))


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset, "replace")
    except LookupError:
        return body.decode("utf-8", "replace")
