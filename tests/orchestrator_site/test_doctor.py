"""The doctor on a healthy machine, and on machines with one thing broken."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.utils import timezone

from brain import origin as origin_module
from brain.models import Flow, Organismo
from devices.models import Worker
from orchestrator_site import diagnosis
from orchestrator_site.demo.world import intranet
from orchestrator_site.diagnosis import BAD, OFF, OK, WARN, Finding
from queues.mirror import door
from queues.models import Endpoint, Generator, MirrorState
from tests import parts
from tests.factories import DeviceFactory, EndpointFactory, FlowFactory, OrganismoFactory
from tests.postgres import free_port
from tests.world import PASSWORD, World, world, world_files, world_url

__all__ = ["world", "world_files", "world_url"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, settings: Any) -> Iterator[None]:
    """A storage of its own, and nothing known of the origin from before."""
    settings.MEDIA_ROOT = tmp_path / "media"
    origin_module._columns.clear()
    yield
    origin_module._columns.clear()


def only(examination: Any) -> Finding:
    (finding,) = examination()
    return finding


def heartbeat(age: timedelta) -> None:
    Worker.objects.create(name="brain@host", kind="cluster", host="host", pid=1)
    Worker.objects.update(heartbeat_at=timezone.now() - age)


def test_a_healthy_machine(world_url: str, world_files: Path, settings: Any) -> None:
    parts.require("a browser")
    settings.DEMO_WORLD_URL = world_url
    login = f"{world_url}/intranet/xvia-grupoeuropa/public/login"
    OrganismoFactory(flow_name=FlowFactory().name, login_url=login)
    heartbeat(timedelta(seconds=5))
    told = io.StringIO()
    call_command("doctor", "--json", stdout=told)
    answer = json.loads(told.getvalue())
    assert answer["ok"]
    findings = {one["system"]: one for one in answer["findings"]}
    assert findings.pop("mongo")["state"] == OFF, "none is configured"
    assert findings.pop("scrapers")["state"] == OFF, "nor is distribution"
    assert {one["state"] for one in findings.values()} == {OK}
    assert set(findings) == {
        "database",
        "origin",
        "browser",
        "storage",
        "cache",
        "flows",
        "intranet",
        "clusters",
        "demo world",
    }
    assert "signed in as BOT_MULTIVIA" in findings["intranet"]["found"]
    assert not any(one["to_do"] for one in findings.values())
    assert PASSWORD not in told.getvalue()


def test_what_is_bad_is_named_and_the_command_fails(settings: Any) -> None:
    settings.BROWSER_EXECUTABLE = "/no/such/browser"
    told = io.StringIO()
    with pytest.raises(CommandError, match="Needs mending: browser"):
        call_command("doctor", stdout=told)
    assert "BAD" in told.getvalue()
    assert "playwright install" in told.getvalue()


def test_what_is_off_is_no_failure(settings: Any) -> None:
    parts.require("a browser")
    settings.DEMO = False
    call_command("doctor", stdout=io.StringIO())
    assert only(diagnosis.demo_world).state == OFF
    assert only(diagnosis.intranet).state == OFF
    assert only(diagnosis.clusters).state == OFF


def test_a_system_with_many_faults_is_named_once() -> None:
    row = only_generator("G_SISEC")
    for _number in range(2):
        EndpointFactory(generator=row, url=f"http://127.0.0.1:{free_port()}/")
    told = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("doctor", stdout=told)
    assert str(caught.value).count("scrapers") == 1
    assert told.getvalue().count("nobody listens") == 2


# --- One examination at a time ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "to_do"),
    [
        ("3 migrations are not applied: run manage.py migrate", "migrate"),
        ("The database does not answer: OperationalError", "DATABASE_URL"),
    ],
)
def test_a_database_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, problem: str, to_do: str
) -> None:
    monkeypatch.setattr(diagnosis, "database_problems", lambda: [problem])
    finding = only(diagnosis.database)
    assert (finding.state, finding.found) == (BAD, problem)
    assert to_do in finding.to_do


def test_without_its_tables_everything_points_to_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def flows() -> Iterator[Finding]:
        raise OperationalError("no such table: organismo_config")
        yield

    monkeypatch.setattr(diagnosis, "EXAMINATIONS", (flows,))
    (finding,) = diagnosis.examine()
    assert (finding.system, finding.state) == ("flows", BAD)
    assert finding.to_do == "Mend the database first."


def test_an_examination_that_breaks_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def some_system() -> Iterator[Finding]:
        raise ZeroDivisionError("oh")
        yield

    monkeypatch.setattr(diagnosis, "EXAMINATIONS", (some_system, diagnosis.database))
    broken, database = diagnosis.examine()
    assert (broken.system, broken.state, broken.found) == (
        "some system",
        BAD,
        "ZeroDivisionError: oh",
    )
    assert "report" in broken.to_do
    assert database.state == OK


@pytest.mark.parametrize("error", [origin_module.OriginUnreachable, origin_module.OriginRefused])
@pytest.mark.parametrize(("embedded", "to_do"), [(True, "prepare"), (False, "Check")])
def test_an_origin_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, settings: Any, error: Any, embedded: bool, to_do: str
) -> None:
    def refuse() -> None:
        raise error("08001 no route to host")

    settings.ORIGIN_IS_EMBEDDED = embedded
    monkeypatch.setattr(origin_module, "columns", refuse)
    finding = only(diagnosis.origin_database)
    assert finding.state == BAD
    assert "no route to host" in finding.found
    assert to_do in finding.to_do


def test_an_origin_that_nobody_wants_is_off(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    def refuse() -> None:
        raise origin_module.OriginUnreachable("unable to open database file")

    settings.ORIGIN_IS_EMBEDDED, settings.DEMO = True, False
    monkeypatch.setattr(origin_module, "columns", refuse)
    assert only(diagnosis.origin_database).state == OFF


@pytest.mark.django_db(transaction=True)
def test_an_origin_whose_file_is_missing(world: World) -> None:
    connections["recursos"].close()
    world.origin.unlink()
    try:
        finding = only(diagnosis.origin_database)
    finally:
        connections["recursos"].close()
    assert (finding.state, finding.to_do) == (BAD, "Run: python manage.py prepare")


def test_an_intranet_that_refuses_us(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intranet, "_name_for", lambda email, password: "")
    OrganismoFactory(login_url=f"{world.intranet}/login")
    finding = only(diagnosis.intranet)
    assert finding.state == BAD
    assert "BadCredentials" in finding.found
    assert "XVIA_PASSWORD" in finding.to_do
    assert PASSWORD not in finding.found


def test_an_intranet_that_is_down_and_one_that_is_up(world: World) -> None:
    OrganismoFactory(site_id="up", login_url=f"{world.intranet}/login")
    OrganismoFactory(site_id="down", login_url="http://127.0.0.1:9/login")
    OrganismoFactory(site_id="same", login_url=f"{world.intranet}/login")
    OrganismoFactory(site_id="inactive", login_url="http://127.0.0.1:10/login", active=False)
    assert sorted(finding.state for finding in diagnosis.intranet()) == [BAD, OK]


@pytest.mark.parametrize("method", ["portal", "browser"])
def test_an_organismo_that_claims_nowhere(method: str) -> None:
    OrganismoFactory(claim_method=method)
    finding = only(diagnosis.intranet)
    assert finding.state == BAD
    assert "xaloc_girona" in finding.found


def test_flows_that_are_missing(flow: Flow) -> None:
    OrganismoFactory(site_id="good", flow_name=flow.name)
    OrganismoFactory(site_id="none", flow_name="")
    OrganismoFactory(
        site_id="clicks",
        flow_name=flow.name,
        claim_method=Organismo.ClaimMethod.BROWSER,
        login_flow=flow.name,
        claim_flow="not_there",
    )
    OrganismoFactory(site_id="inactive", flow_name="not_there", active=False)
    found = {finding.found.partition(":")[0]: finding for finding in diagnosis.flows()}
    assert {site: finding.state for site, finding in found.items()} == {
        "good": OK,
        "none": BAD,
        "clicks": BAD,
    }
    assert "not_there" in found["clicks"].found
    assert "(none named)" in found["none"].found


@pytest.fixture
def listener() -> Iterator[str]:
    """The address of somebody who takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/scraper"


def only_generator(name: str) -> Generator:
    """The one that takes part."""
    Generator.objects.exclude(name=name).update(enabled=False)
    return Generator.objects.get(name=name)


def test_without_endpoints_and_devices_nobody_is_missed() -> None:
    assert only(diagnosis.scrapers).state == OFF
    assert list(diagnosis.device_pools()) == []


def test_an_endpoint_that_listens_and_some_that_do_not(listener: str) -> None:
    row = only_generator("G_SISEC")
    for url, enabled in (
        (listener, True),
        (f"http://127.0.0.1:{free_port()}/deaf?key=hidden", True),
        ("http://192.0.2.1/outside", True),
        ("http://user:hidden@127.0.0.1/", True),
        (f"http://127.0.0.1:{free_port()}/disabled", False),
    ):
        Endpoint.objects.create(generator=row, url=url, enabled=enabled)
    *bad, good = diagnosis.scrapers()
    assert (good.state, good.found) == (OK, "G_SISEC: 1 of 4 endpoints listen")
    assert {one.state for one in bad} == {BAD}
    told = {one.found: one.to_do for one in bad}
    deaf, outside, named = told
    assert deaf.startswith("G_SISEC http://127.0.0.1:")
    assert "/deaf: nobody listens: ConnectionRefusedError" in deaf
    assert "Start the scraper" in told[deaf]
    assert "SCRAPER_ALLOWED_NETWORKS" in outside
    assert "a user or a password" in named
    assert "hidden" not in "".join(told)


def test_a_generator_without_an_endpoint_of_its_own() -> None:
    row = only_generator("G_SISEC")
    EndpointFactory(generator=Generator.objects.get(name="G_IAD"))
    EndpointFactory(generator=row, enabled=False)
    finding = only(diagnosis.scrapers)
    assert (finding.state, finding.found) == (BAD, "G_SISEC: no enabled endpoint")
    assert finding.to_do
    Generator.objects.update(worked_by="mongo")  # its workers know their own
    assert list(diagnosis.scrapers()) == []


def test_a_pool_in_which_no_device_works_is_a_warning() -> None:
    row = only_generator("G_SISEC")
    own = {"fleet": row.fleet, "process": row.process}
    DeviceFactory(**own, online=False)
    DeviceFactory(**own, status="quarantined")
    DeviceFactory(**own, status="draining")
    finding = only(diagnosis.device_pools)
    assert finding.state == WARN
    assert finding.found.startswith("G_SISEC: 0 of 3 devices") and finding.to_do
    DeviceFactory(**own)
    finding = only(diagnosis.device_pools)
    assert (finding.state, finding.to_do) == (OK, "")
    assert finding.found.startswith("G_SISEC: 1 of 4 devices")


def test_the_storage_is_tried_and_left_clean(tmp_path: Path) -> None:
    assert only(diagnosis.storage).state == OK
    assert [path for path in (tmp_path / "media").rglob("*") if path.is_file()] == []


def test_a_storage_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(default_storage, "save", full)
    finding = only(diagnosis.storage)
    assert finding.state == BAD
    assert "No space left" in finding.found
    assert "disk" in finding.to_do


def test_a_cache_that_is_down_or_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any) -> None:
        raise ConnectionError("connection refused")

    assert only(diagnosis.cache_and_broker).state == OK
    monkeypatch.setattr(cache, "get", lambda name: None)
    assert only(diagnosis.cache_and_broker).state == BAD
    monkeypatch.setattr(cache, "set", refused)
    finding = only(diagnosis.cache_and_broker)
    assert "connection refused" in finding.found
    assert "REDIS_URL" in finding.to_do


def test_a_cache_s_password_is_not_shown(settings: Any) -> None:
    settings.REDIS_URL = "redis://:hidden@cache.example:6379/0"
    assert only(diagnosis.cache_and_broker).found == "cache.example"


@pytest.mark.parametrize(("age", "state"), [(5, OK), (600, BAD)])
def test_a_cluster_that_fell_silent(age: int, state: str) -> None:
    heartbeat(timedelta(seconds=age))
    assert only(diagnosis.clusters).state == state


def test_a_demo_world_that_is_not_running(settings: Any) -> None:
    settings.DEMO, settings.DEMO_WORLD_URL = True, "http://127.0.0.1:9"
    finding = only(diagnosis.demo_world)
    assert (finding.state, finding.found) == (OFF, "not running")
    assert "demoworld" in finding.to_do


def test_a_mirror_that_was_left_on(db: None) -> None:
    MirrorState.switch(True)
    finding = only(diagnosis.mongo)
    assert (finding.state, finding.to_do) == (BAD, diagnosis.MEND)
    diagnosis.mend()
    assert only(diagnosis.mongo).state == OFF


def test_a_mongo_that_does_not_answer(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "NOTICED", 50)
    settings.MONGODB_URI = f"mongodb://robot:hidden@127.0.0.1:{free_port()}/"
    findings = {one.system: one for one in diagnosis.mongo()}
    assert (findings["mongo"].state, findings["mirror"].state) == (BAD, OFF)
    assert "MONGODB_URI" in findings["mongo"].to_do
    assert "hidden" not in findings["mongo"].found
    diagnosis.mend()  # what cannot be reached is left as it is
