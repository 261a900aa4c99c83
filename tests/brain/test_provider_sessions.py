"""Sessions: what cookies are taken, how they are kept, lent, probed and lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet
from django.utils import timezone

from brain import alerts, probing, rules, sessions
from brain.models import ConnectedProvider, Provider
from brain.sessions import CookiesRefused
from brain.verbs import CONNECTION_VERBS
from orchestrator_site.models import Event, Member
from orchestrator_site.verbs import Refused
from queues import live
from queues.browser.signing import NO_SESSION
from queues.models import Job
from queues.registered import registered
from tests.factories import COOKIE, ConnectedProviderFactory, JobFactory, MemberFactory
from tests.factories import ProviderFactory as AnyProvider

pytestmark = pytest.mark.django_db
Status = ConnectedProvider.Status
HOSTS = ["www.example.com:8443", "*.example.org"]
GOOD = {"name": "sid", "value": "s3cr3t-value", "domain": "www.example.com"}
NOW = 1_800_000_000.0


def provider_at(url: str = "https://www.example.com:8443/", **more: Any) -> Provider:
    return AnyProvider(url=url, hosts=["*.example.org"], **more)


@pytest.fixture
def member() -> Member:
    return MemberFactory()


# --- Cookies --------------------------------------------------------------------------------------


def test_cookies_are_kept_in_the_documented_form_and_other_keys_are_dropped() -> None:
    exported = {**GOOD, "sameSite": "lax", "hostOnly": True, "storeId": "0", "secure": True}
    (kept,) = rules.parse_cookies([exported], HOSTS, NOW)
    assert kept == {
        **GOOD,
        "path": "/",
        "expires": -1,
        "httpOnly": False,
        "secure": True,
        "sameSite": "Lax",
    }


@pytest.mark.parametrize(
    "given",
    [
        "x" * 10_000_000,
        [{**GOOD, "value": "v" * 10_000_000}],
        [{**GOOD, "value": "v" * 2000}] * 200,
        [GOOD] * 301,
        [],
        {},
        None,
        "not json",
        "[" * 100_000,
        [17],
        [{"name": "sid", "value": "x"}],
        [{**GOOD, "name": ""}],
        [{**GOOD, "name": "a=b"}],
        [{**GOOD, "name": 5}],
        [{**GOOD, "value": "a;b"}],
        [{**GOOD, "value": "a\r\nSet-Cookie: b"}],
        [{**GOOD, "value": None}],
        [{**GOOD, "domain": "evil.net"}],
        [{**GOOD, "domain": "com"}],
        [{**GOOD, "domain": "otherwww.example.com.evil.net"}],
        [{**GOOD, "path": "no-slash"}],
        [{**GOOD, "expires": "tomorrow"}],
        [{**GOOD, "expires": float("nan")}],
        [{**GOOD, "expires": 10**400}],
        [{**GOOD, "expires": NOW - 1}],
        [{**GOOD, "secure": "yes"}],
        [{**GOOD, "sameSite": "Whatever"}],
    ],
    ids=range(27),
)
def test_bad_cookies_are_refused_and_never_quoted(given: Any) -> None:
    with pytest.raises(ValueError) as refused:
        rules.parse_cookies(given, HOSTS, NOW)
    assert "s3cr3t" not in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "domain", ["www.example.com", ".www.example.com", ".example.com", "a.b.example.org"]
)
def test_a_cookie_of_the_providers_hosts_is_taken(domain: str) -> None:
    assert rules.parse_cookies([{**GOOD, "domain": domain}], HOSTS, NOW)


def test_a_request_gets_the_cookies_that_a_browser_would_send() -> None:
    cookies = rules.parse_cookies(
        [
            {**GOOD, "name": "host"},
            {**GOOD, "name": "all", "domain": ".example.com"},
            {**GOOD, "name": "deep", "path": "/a/b"},
            {**GOOD, "name": "safe", "secure": True},
            {**GOOD, "name": "old", "expires": NOW + 5},
        ],
        HOSTS,
        NOW,
    )

    def sent(url: str) -> list[str]:
        header = rules.cookie_header(cookies, url, NOW + 10)
        return [one.partition("=")[0] for one in header.split("; ") if one]

    assert sent("https://www.example.com/a/b/c") == ["deep", "host", "all", "safe"]
    assert sent("http://www.example.com/a/bc") == ["host", "all"]
    assert sent("https://other.example.com/") == ["all"]
    assert sent("https://example.com.evil.net/") == []


# --- Connected ------------------------------------------------------------------------------------


def test_a_session_is_stored_encrypted_for_seven_days_and_its_jobs_go_on(member: Member) -> None:
    provider = provider_at()
    job = JobFactory(member=member, provider_id=str(provider.pk), needs_session=True, status="held")
    other = JobFactory(member=MemberFactory(), provider_id=str(provider.pk), status="held")
    row = sessions.connect(member.user, provider, json.dumps([GOOD]))
    row.refresh_from_db()
    assert row.status == Status.ACTIVE
    assert abs(row.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)
    assert "s3cr3t" not in row.session
    assert sessions.unsealed(row.session)[0]["value"] == "s3cr3t-value"
    assert registered.session(job) == row.session
    assert not registered.session(other)
    job.refresh_from_db()
    other.refresh_from_db()
    assert (job.status, other.status) == ("queued", "held")
    assert not Event.objects.filter(data__icontains="s3cr3t").exists()


def test_a_session_ends_no_later_than_the_last_of_its_cookies(member: Member) -> None:
    in_an_hour = timezone.now().timestamp() + 3600
    jar = [{**GOOD, "expires": in_an_hour}, {**GOOD, "name": "b", "expires": in_an_hour - 60}]
    row = sessions.connect(member.user, provider_at(), jar)
    assert row.expires_at.timestamp() == pytest.approx(in_an_hour)
    row = sessions.connect(member.user, row.provider, [*jar, {**GOOD, "name": "c"}])
    assert row.expires_at > timezone.now() + timedelta(days=6)


@pytest.mark.database
def test_a_second_connect_renews_the_one_row(member: Member) -> None:
    provider = provider_at()
    first = sessions.connect(member.user, provider, [GOOD])
    sessions.expire(first, "dead")
    second = sessions.connect(member.user, provider, [{**GOOD, "value": "new"}])
    assert (second.pk, second.status) == (first.pk, Status.ACTIVE)
    assert sessions.unsealed(second.session)[0]["value"] == "new"
    moves = Event.objects.filter(object_id=str(first.pk)).order_by("id")
    assert [(one.old, one.new) for one in moves] == [
        ("", "active"),
        ("active", "expired"),
        ("expired", "active"),
    ]


def test_a_stranger_connects_nothing(member: Member, person: Any) -> None:
    provider = provider_at()
    with pytest.raises(Refused):
        sessions.connect(person("admin"), provider, [GOOD])
    with pytest.raises(CookiesRefused):
        sessions.connect(member.user, provider, [{**GOOD, "domain": "evil.net"}])
    provider.active = False
    with pytest.raises(Refused):
        sessions.connect(member.user, provider, [GOOD])
    assert not ConnectedProvider.objects.exists()


# --- Lost -----------------------------------------------------------------------------------------


@pytest.fixture
def row(member: Member) -> ConnectedProvider:
    return ConnectedProviderFactory(member=member)


def job_of(row: ConnectedProvider, **more: Any) -> Job:
    about = {"organisation": row.organisation, "user": row.user, "needs_session": True}
    return JobFactory(**about, provider_id=str(row.provider_id), **more)


@pytest.mark.database
def test_a_dead_session_holds_only_the_jobs_that_need_it(row: ConnectedProvider) -> None:
    waiting, free = job_of(row), JobFactory(member=row.user.membership, needs_session=False)
    given = job_of(row, published_at=timezone.now())
    elsewhere = JobFactory(member=row.user.membership, provider_id="999", needs_session=True)
    failed = job_of(row, started_at=timezone.now() + timedelta(seconds=1), status="held")
    registered.session_lost(failed)
    row.refresh_from_db()
    assert (row.status, row.session) == (Status.EXPIRED, "")
    statuses = [Job.objects.get(pk=one.pk).status for one in (waiting, free, given, elsewhere)]
    assert statuses == ["held", "queued", "queued", "queued"]
    (reading,) = alerts.jobs_without_session()
    assert reading.value == 2


def test_a_job_that_is_given_meanwhile_is_not_held(
    row: ConnectedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(row)
    move_all = Job.move_all

    def given_first(rows: Any, *args: Any, **more: Any) -> list[Job]:
        found = list(rows)
        Job.objects.filter(published_at=None).hand_over(1)
        return move_all(found, *args, **more)

    monkeypatch.setattr(Job, "move_all", given_first)
    assert sessions.expire(row, "over")
    job.refresh_from_db()
    assert (job.status, job.lease_token is None) == (Job.Status.QUEUED, False)


def test_a_session_that_nobody_can_read_is_over(row: ConnectedProvider) -> None:
    job = job_of(row, error_log=NO_SESSION)
    ConnectedProvider.objects.update(session=Fernet(Fernet.generate_key()).encrypt(b"{}").decode())
    sessions.lost(job)
    row.refresh_from_db()
    assert row.status == Status.EXPIRED


def test_a_session_renewed_since_the_job_began_lives_on(row: ConnectedProvider) -> None:
    registered.session_lost(job_of(row, started_at=row.connected_at - timedelta(seconds=1)))
    registered.session_lost(job_of(row, error_log=NO_SESSION))  # nobody has tried it
    stale = ConnectedProvider.objects.get()
    sessions.connect(row.user, row.provider, [{**GOOD, "domain": "127.0.0.1"}])
    assert not sessions.expire(stale, "late")
    assert ConnectedProvider.objects.get().status == Status.ACTIVE


@pytest.mark.database
def test_time_ends_sessions_and_frees_jobs_held_beside_a_living_one(row: ConnectedProvider) -> None:
    held = job_of(row, status="held")
    old = ConnectedProviderFactory(expires_at=timezone.now() - timedelta(seconds=1))
    assert sessions.keep() == {"expired": 1, "published": 0, "resumed": 1}
    held.refresh_from_db()
    old.refresh_from_db()
    assert (held.status, old.status) == ("queued", Status.EXPIRED)


def test_a_disconnected_session_is_forgotten(row: ConnectedProvider) -> None:
    assert sessions.disconnect(row, "mine again")
    assert not sessions.disconnect(row, "twice")
    assert ConnectedProvider.objects.get().session == ""
    assert registered.session(job_of(row)) == ""


# --- Redis ----------------------------------------------------------------------------------------


def test_redis_holds_a_copy_and_gets_it_back_after_a_flush(
    member: Member,
    settings: Any,
    redis_url: str,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    settings.REDIS_URL = redis_url
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    client.flushall()
    provider = provider_at(name="cargill")
    with django_capture_on_commit_callbacks(execute=True):
        row = sessions.connect(member.user, provider, [GOOD])
    key = f"sri:sessions:{member.organisation_id}:{member.user_id}:cargill"
    assert client.get(key) == row.session
    assert 7 * 86400 - 60 < client.ttl(key) <= 7 * 86400
    assert sessions.keep()["published"] == 0
    client.flushall()
    assert sessions.keep()["published"] == 0  # no job wants it
    job = job_of(row)
    assert sessions.keep()["published"] == 1
    client.flushall()
    job.error_log = NO_SESSION
    registered.session_lost(job)
    row.refresh_from_db()
    assert (client.get(key), row.status) == (row.session, Status.ACTIVE)
    with django_capture_on_commit_callbacks(execute=True):
        sessions.disconnect(row, "mine")
    assert client.get(key) is None
    way = live.transport()
    assert way and way.session(row.organisation_id, row.user_id, "cargill") is None


# --- Probed ---------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    """A page for who is signed in."""

    asked: list[tuple[str, str]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Cookie", "")))
        if self.path == "/broken":
            self.send_error(500)
        elif self.path in ("/elsewhere", "/beside"):
            where = "/home" if self.path == "/beside" else "http://127.0.0.2:1/login"
            self.send_response(302)
            self.send_header("Location", where)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            is_in = "sid=an-invented-session" in self.headers.get("Cookie", "")
            body = ("<p>Cerrar sesi&oacute;n</p>" if is_in else "<p>Entrar</p>").encode()
            self.send_response(401 if self.path == "/401" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def site() -> Iterator[str]:
    Site.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def probed(member: Member, settings: Any, site: str) -> Callable[..., ConnectedProvider]:
    settings.EGRESS_ALLOWED_NETWORKS = (ip_network("127.0.0.1/32"),)

    def make(path: str = "/home", text: str = "Cerrar sesión", **more: Any) -> ConnectedProvider:
        provider = AnyProvider(url=site, probe_url=site + path, probe_text=text)
        more.setdefault("connected_at", timezone.now() - timedelta(hours=1))
        return ConnectedProviderFactory(member=member, provider=provider, **more)

    return make


@pytest.mark.parametrize(
    ("path", "text", "lives"),
    [
        ("/home", "Cerrar sesión", True),
        ("/beside", "Cerrar sesión", True),
        ("/home", "Welcome", False),
        ("/elsewhere", "Cerrar sesión", False),
        ("/401", "Cerrar sesión", False),
        ("/401", "", False),
        ("/home", "", True),
        ("/broken", "Cerrar sesión", None),
    ],
)
def test_a_probe_tells_the_living_from_the_dead(
    probed: Callable[..., ConnectedProvider], path: str, text: str, lives: bool | None
) -> None:
    row = probed(path, text)
    job = job_of(row)
    assert probing.probe(row) is lives
    row.refresh_from_db()
    job.refresh_from_db()
    assert row.status == (Status.EXPIRED if lives is False else Status.ACTIVE)
    assert job.status == ("held" if lives is False else "queued")
    assert row.probed_at is not None
    assert bool(row.probe_error) is (lives is not True)
    assert all("sid=an-invented-session" in cookie for _path, cookie in Site.asked)


@pytest.mark.parametrize("networks", [(), (ip_network("10.0.0.0/8"),)])
def test_a_probe_goes_where_runs_may_go_only(
    probed: Callable[..., ConnectedProvider], settings: Any, networks: Any
) -> None:
    row = probed()
    settings.EGRESS_ALLOWED_NETWORKS = networks
    assert probing.probe(row) is None
    assert Site.asked == []
    row.refresh_from_db()
    assert row.status == Status.ACTIVE
    assert row.probe_error


def test_a_network_that_fails_is_noted_and_ends_nothing(
    probed: Callable[..., ConnectedProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = probed()
    row.provider.probe_url = "http://127.0.0.1:9/"
    assert probing.probe(row) is None
    assert [one.subject for one in alerts.unreadable_sessions()] == [row.provider.name]
    ConnectedProvider.objects.update(session="not a token")
    row.refresh_from_db()
    assert probing.probe(row) is None
    assert "SESSION_KEYS" in ConnectedProvider.objects.get().probe_error


def test_each_session_is_probed_once_a_quarter_of_an_hour(
    probed: Callable[..., ConnectedProvider],
) -> None:
    probed()
    probed(connected_at=timezone.now())  # it was just connected
    probed(status=Status.EXPIRED)
    assert probing.probe_due() == {"living": 1, "dead": 0, "unknown": 0}
    assert probing.probe_due() == {"living": 0, "dead": 0, "unknown": 0}
    assert len(Site.asked) == 1


def test_staff_probe_and_disconnect_by_verbs(probed: Callable[..., ConnectedProvider]) -> None:
    disconnect, probe = CONNECTION_VERBS
    row = probed("/401")
    assert probe.fits(row)
    assert probe.run(row, "is it there?")
    row.refresh_from_db()
    assert not probe.fits(row)
    assert disconnect.fits(row)
    assert COOKIE["value"] not in str(list(Event.objects.values_list("reason", "data")))


def test_what_is_lent_again_lives_no_longer_than_the_session(
    member: Member, redis_url: str, settings: Any
) -> None:
    settings.REDIS_URL = redis_url
    soon = timezone.now() + timedelta(minutes=5)
    row = ConnectedProviderFactory(member=member, expires_at=soon)
    job = JobFactory(member=member, provider_id=str(row.provider_id))
    registered.lend_session(job)
    transport = live.transport()
    assert transport is not None
    place = f"sri:sessions:{row.organisation_id}:{row.user_id}:{row.provider.name}"
    assert 0 < transport.client.ttl(place) <= 300
    ConnectedProvider.objects.update(expires_at=timezone.now())
    transport.client.delete(place)
    registered.lend_session(job)
    assert not transport.client.exists(place)
