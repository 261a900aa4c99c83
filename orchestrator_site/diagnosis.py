"""The doctor's examinations: one short function a system."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import Error as DatabaseError
from django.utils import timezone

from brain import origin, portal
from brain.claimers import portal_of
from brain.models import Flow, Organismo
from devices.models import Device, Worker
from orchestrator_site import addresses
from orchestrator_site.health import database_problems
from queues.browser.launch import BrowserMissing, find_browser
from queues.connecting import PORTS
from queues.mirror import door, indexes, session, standing, triggers
from queues.models import Endpoint, Generator

OK, OFF, WARN, BAD = "ok", "off", "warn", "bad"
CONNECT_SECONDS = 2.0
AT_ONCE = 16  # endpoints: dead ones take that long each
MEND = "Run: manage.py doctor --fix"


@dataclass(frozen=True)
class Finding:
    system: str
    state: str  # ok, off (not configured, not needed), warn (works for now) or bad
    found: str
    to_do: str = ""


def examine() -> Iterator[Finding]:
    """All findings, in the order in which to mend them."""
    for examination in EXAMINATIONS:
        try:
            yield from examination()
        except Exception as error:  # an examination that breaks is itself a finding
            name = examination.__name__.replace("_", " ")
            is_database = isinstance(error, DatabaseError)
            to_do = "Mend the database first." if is_database else "This is a defect: report it."
            yield Finding(name, BAD, _told(error), to_do)


def mend() -> None:
    """What can be mended without asking anybody: what is missing is made. Changes no data."""
    triggers.install("default")
    if not door.is_configured():
        session.switch_off()
        return
    with contextlib.suppress(door.PyMongoError):  # its examination tells of it
        indexes.create(indexes.missing())


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def database() -> Iterator[Finding]:
    engine = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]
    problems = database_problems()
    if problems:
        is_silent = any("does not answer" in problem for problem in problems)
        to_do = "Check DATABASE_URL and the server." if is_silent else "Run: manage.py migrate"
        yield Finding("database", BAD, "; ".join(problems), to_do)
        return
    yield Finding("database", OK, engine)


def origin_database() -> Iterator[Finding]:
    embedded = settings.ORIGIN_IS_EMBEDDED
    kind = "embedded SQLite file" if embedded else "SQL Server"
    prepare = "Run: python manage.py prepare"
    try:
        found = origin.columns()
    except origin.OriginUnreachable as error:
        if embedded and not settings.DEMO:
            yield Finding("origin", OFF, "no SQL Server is configured: no appeals", "")
            return
        to_do = "Check SQLSERVER_SERVER, the network and the server's firewall."
        found_wrong = f"{kind} unreachable: {error}"
        yield Finding("origin", BAD, found_wrong, prepare if embedded else to_do)
    except origin.OriginRefused as error:
        to_do = "Check the account, its rights, the table."
        found_wrong = f"{kind} refuses: {error}"
        yield Finding("origin", BAD, found_wrong, prepare if embedded else to_do)
    else:
        yield Finding("origin", OK, f"{kind}, {len(found)} columns")


def intranet() -> Iterator[Finding]:
    """Every intranet that an active organismo claims in by HTTP or by clicking."""
    active = Organismo.objects.filter(active=True)
    bases: dict[str, Organismo] = {}
    for row in active.exclude(login_url=""):
        bases.setdefault(row.login_url, row)
    lost = active.filter(login_url="").exclude(claim_method=Organismo.ClaimMethod.SQL)
    for row in lost:
        found = f"{row.site_id}: claims by {row.claim_method}, and has no login URL"
        yield Finding("intranet", BAD, found, "Write the login URL into the organismo.")
    if not bases and not lost:
        yield Finding("intranet", OFF, "no active organismo uses one")
    for url, row in bases.items():
        client = portal_of(row)
        try:
            client.login()
            yield Finding("intranet", OK, f"{url}: signed in as {client.account()}")
        except portal.PortalError as error:
            to_do = "Check XVIA_EMAIL, XVIA_PASSWORD and the login URL."
            yield Finding("intranet", BAD, f"{url}: {_told(error)}", to_do)
        finally:
            client.close()


def scrapers() -> Iterator[Finding]:
    """For each generator that our workers post for: it has an endpoint, and each one listens."""
    if not Endpoint.objects.exists() and not Device.objects.exists():
        yield Finding("scrapers", OFF, "neither endpoints nor devices: nobody is distributed")
        return
    ours = Generator.objects.filter(enabled=True, worked_by=Generator.WorkedBy.OURS)
    for row in ours.prefetch_related("endpoints"):
        asked = [one for one in row.endpoints.all() if one.enabled]
        if not asked:
            to_do = "Enter one in the admin (Endpoints), or disable the generator."
            yield Finding("scrapers", BAD, f"{row}: no enabled endpoint", to_do)
            continue
        with ThreadPoolExecutor(AT_ONCE) as threads:
            deaf = [one for one in threads.map(_deaf, asked) if one]
        yield from deaf
        if len(deaf) < len(asked):
            told = f"{row}: {len(asked) - len(deaf)} of {len(asked)} endpoints listen"
            yield Finding("scrapers", OK, told)


def _deaf(endpoint: Endpoint) -> Finding | None:
    """None: it may be called, and somebody takes the connection."""
    # Without what a person may have put there in secret.
    shown = f"{endpoint.generator} {endpoint.url.partition('?')[0].rpartition('@')[2]}"
    try:
        _connect(endpoint.url)
    except addresses.AddressRefused as error:
        to_do = "Correct the address, or the network's setting; or disable the endpoint."
        return Finding("scrapers", BAD, f"{shown}: {error}", to_do)
    except OSError as error:
        to_do = "Start the scraper, open the way to it, or disable the endpoint."
        return Finding("scrapers", BAD, f"{shown}: nobody listens: {_told(error)}", to_do)
    return None


def _connect(url: str) -> None:
    """To one of the addresses that may be called. Raises AddressRefused, OSError."""
    found, parts = addresses.resolve(url), urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    for address in found:
        try:
            socket.create_connection((address, port), CONNECT_SECONDS / len(found)).close()
            return
        except OSError as error:
            last = error
    raise last


def device_pools() -> Iterator[Finding]:
    """For each generator that takes part: a device that could take a task."""
    if not Device.objects.exists() and not Endpoint.objects.exists():
        return  # told already
    for row in Generator.objects.filter(enabled=True):
        devices = Device.objects.pool(row.fleet, row.process)
        able = devices.filter(online=True, status=Device.Status.IN_SERVICE).count()
        told = f"{row}: {able} of {devices.count()} devices are in service and online"
        pool = f"the pool {row.fleet} {row.process}"
        to_do = "" if able else f"See in the admin (Devices, {pool}) why, or disable the generator."
        yield Finding("devices", OK if able else WARN, told, to_do)


def flows() -> Iterator[Finding]:
    for row in Organismo.objects.filter(active=True):
        names = {row.flow_name}
        if row.claim_method == Organismo.ClaimMethod.BROWSER:
            names |= {row.claim_flow, row.login_flow}
        missing = sorted(name or "(none named)" for name in names if not Flow.active_version(name))
        if missing:
            found = f"{row.site_id}: no active version of {', '.join(missing)}"
            yield Finding("flows", BAD, found, "Name a flow in the organismo and activate it.")
        else:
            yield Finding("flows", OK, f"{row.site_id}: {', '.join(sorted(names))}")


def browser() -> Iterator[Finding]:
    try:
        found = find_browser(settings.BROWSER_EXECUTABLE)
    except BrowserMissing as error:
        yield Finding("browser", BAD, "none found", str(error))
        return
    yield Finding("browser", OK, found or "Playwright's own")


def storage() -> Iterator[Finding]:
    kind = "S3" if settings.AWS_ACCESS_KEY_ID else f"files in {settings.MEDIA_ROOT}"
    try:
        name = default_storage.save("doctor/probe.txt", ContentFile(b"probe"))
        with default_storage.open(name) as file:
            kept = file.read() == b"probe"
        default_storage.delete(name)
    except Exception as error:  # each storage has errors of its own
        kept, kind = False, f"{kind}: {_told(error)}"
    to_do = "" if kept else "Check the bucket, its keys and rights, or the disk."
    yield Finding("storage", OK if kept else BAD, kind, to_do)


def cache_and_broker() -> Iterator[Finding]:
    where = urlsplit(settings.REDIS_URL).hostname or "this machine's disk"
    try:
        cache.set("doctor", "1", 10)
        kept = cache.get("doctor") == "1"
    except Exception as error:  # each cache has errors of its own
        kept, where = False, f"{where}: {_told(error)}"
    to_do = "" if kept else "Check REDIS_URL or the disk."
    yield Finding("cache", OK if kept else BAD, where, to_do)


def mongo() -> Iterator[Finding]:
    """The mirror: its server, what finds documents there, and how it fares."""
    for name in standing.forsaken():
        told = f"{name} is worked from Mongo, and MONGODB_URI is not set: nobody works it"
        yield Finding("mongo", BAD, told, "Set MONGODB_URI, or have our workers work it.")
    found = standing.current()
    if lacking := triggers.missing("default"):
        told = f"changes go unnoticed: no {', '.join(lacking)}"
        yield Finding("mongo", BAD if found else OFF, told, MEND)
    if not door.is_configured():
        if found is None:
            yield Finding("mongo", OFF, "MONGODB_URI is not set: there is no mirror")
        else:
            told = "MONGODB_URI is not set, and changes are written down for it all the same"
            yield Finding("mongo", BAD, told, MEND)
        return
    yield from _mongo_server()
    if found is not None:
        yield from _mirror(found)


def _mongo_server() -> Iterator[Finding]:
    try:
        door.client().admin.command("ping")
        lacking = indexes.missing()
    except door.PyMongoError as error:
        to_do = "Check MONGODB_URI, the server, the network and the account's rights."
        yield Finding("mongo", BAD, session.explain(error), to_do)
        return
    if lacking:
        told = f"indexes are missing: {'; '.join(map(str, lacking))}"
        yield Finding("mongo", BAD, told, MEND)
    else:
        yield Finding("mongo", OK, "answers, with its indexes")


def _mirror(found: standing.Standing) -> Iterator[Finding]:
    depth = f"{found.depth}{' or more' if found.is_at_limit else ''} changes wait"
    told = f"{depth}, the oldest for {found.lag.total_seconds():.0f} s"
    if found.state.error:
        since = f"{found.state.error_at:%Y-%m-%d %H:%M} UTC" if found.state.error_at else "now"
        yield Finding("mirror", BAD, f"since {since}: {found.state.error}; {told}", MIRROR_LOG)
    elif not found.is_up:
        yield Finding("mirror", OFF, f"nobody works it; {told}", MIRROR_START)
    else:
        yield Finding("mirror", OK, told)
    if found.out or found.into:
        told = f"set aside: {found.out} changes for Mongo, {found.into} documents of Mongo"
        yield Finding("mirror", OK, told, "See why in the admin, and have them tried again.")


MIRROR_LOG = "Mend what the error names. It is tried again by itself."
MIRROR_START = "Start: manage.py runcluster scrapers, or manage.py syncmongo"


def clusters() -> Iterator[Finding]:
    rows = Worker.objects.filter(kind="cluster")
    if not rows:
        yield Finding(
            "clusters", OFF, "none has reported", "Start: make run, or manage.py runcluster NAME"
        )
    for row in rows:
        age = (timezone.now() - row.heartbeat_at).total_seconds()
        state = OK if age < 90 else BAD
        yield Finding(
            "clusters",
            state,
            f"{row.name}: executed {age:.0f} s ago",
            "" if state == OK else "Restart it.",
        )


def demo_world() -> Iterator[Finding]:
    if not settings.DEMO:
        yield Finding("demo world", OFF, "switched off")
        return
    try:
        up = requests.get(f"{settings.DEMO_WORLD_URL}/_up", timeout=3).ok
    except requests.RequestException:
        up = False
    yield Finding(
        "demo world",
        OK if up else OFF,
        settings.DEMO_WORLD_URL if up else "not running",
        "" if up else "Start: python manage.py demoworld",
    )


EXAMINATIONS: tuple[Callable[[], Iterator[Finding]], ...] = (
    database,
    origin_database,
    browser,
    storage,
    cache_and_broker,
    flows,
    intranet,
    scrapers,
    device_pools,
    mongo,
    clusters,
    demo_world,
)
