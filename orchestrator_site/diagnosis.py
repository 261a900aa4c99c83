"""The doctor's examinations: one short function a system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from devices.models import Worker
from orchestrator_site.health import database_problems
from queues.browser.launch import BrowserMissing, find_browser

OK, OFF, BAD = "ok", "off", "bad"


@dataclass(frozen=True)
class Finding:
    system: str
    state: str  # ok, off (not configured, not needed) or bad
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
    clusters,
    demo_world,
)
