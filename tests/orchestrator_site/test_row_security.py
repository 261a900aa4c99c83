"""The second wall: what the database itself keeps from a role that owns nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.core.management import CommandError
from django.db import ProgrammingError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from brain.models import Flow
from orchestrator_site import checks, row_security, tenancy
from orchestrator_site.management.commands import prepare
from orchestrator_site.models import ApiKey, Member
from queues.models import Job, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.factories import (
    ConnectedProviderFactory,
    FlowFactory,
    JobFactory,
    MemberFactory,
    OrganisationFlowFactory,
    WebhookEndpointFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
API = "/api/v1/"
TABLES = {
    "brain_connectedprovider",
    "brain_flow",
    "jobs",
    "queues_organisationturn",
    "queues_webhookattempt",
    "queues_webhookdelivery",
    "queues_webhookendpoint",
}


@pytest.fixture
def postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL alone has walls")


@pytest.fixture
def walls(settings: Any, postgresql: None) -> Iterator[None]:
    """They stand, and we are a role that owns nothing and may do everything else."""
    settings.ROW_LEVEL_SECURITY = True
    row_security.build()
    row_security.tell(connection)  # it was made before
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE application")
        for schema in ("public", "data_general"):
            cursor.execute(f"GRANT USAGE ON SCHEMA {schema} TO application")
            for what in ("TABLES", "SEQUENCES"):
                cursor.execute(f"GRANT ALL ON ALL {what} IN SCHEMA {schema} TO application")
        cursor.execute("SET ROLE application")
    cache.clear()
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")


@contextmanager
def as_owner() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table is altered before
        yield
        cursor.execute("SET ROLE application")


@pytest.fixture
def two(walls: None) -> tuple[Member, Member]:
    """Two organisations, each with a row behind every wall but the turn's."""
    members = MemberFactory(), MemberFactory()
    for member in members:
        organisation = member.organisation
        job = JobFactory(member=member)
        OrganisationFlowFactory(organisation=organisation)
        ConnectedProviderFactory(member=member)
        endpoint = WebhookEndpointFactory(organisation=organisation)
        delivery = WebhookDelivery.objects.create(
            organisation=organisation, endpoint=endpoint, event="job.done", payload={}
        )
        WebhookAttempt.objects.create(delivery=delivery, number=1, at=job.created_at, seconds=1)
    return members


def seen() -> dict[str, int]:
    with connection.cursor() as cursor:
        found = {}
        for table in sorted(TABLES - {"queues_organisationturn"}):
            cursor.execute(f"SELECT count(*) FROM {table}")
            found[table] = cursor.fetchone()[0]
        return found


def each(count: int) -> dict[str, int]:
    return dict.fromkeys(sorted(TABLES - {"queues_organisationturn"}), count)


def said() -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.organisation', true)")
        return cursor.fetchone()[0]


# --- The walls -----------------------------------------------------------------------------------


def test_every_table_of_organisations_has_a_wall() -> None:
    assert set(row_security.walls()) == TABLES


def test_rows_are_those_of_the_organisation_that_is_said(two: tuple[Member, Member]) -> None:
    with row_security.seen_as(row_security.ALL):
        assert seen() == each(2)
    for member in two:
        with row_security.seen_as(str(member.organisation_id)):
            assert seen() == each(1)
            assert Job.objects.get().organisation_id == member.organisation_id
    with row_security.seen_as(row_security.NONE):
        assert seen() == each(0)


def test_where_nothing_is_said_there_is_nothing(two: tuple[Member, Member]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("RESET app.organisation")
    assert seen() == each(0)
    for odd in ("x", "' OR true --", "%", "**"):
        with row_security.seen_as(odd):
            assert seen() == each(0)


def test_our_own_flows_are_no_organisation_s(walls: None) -> None:
    member = MemberFactory()
    FlowFactory()
    with row_security.seen_as(str(member.organisation_id)):
        assert not Flow.objects.exists()
    assert Flow.objects.count() == 1


def test_nobody_writes_behind_another_s_wall(two: tuple[Member, Member]) -> None:
    ours, theirs = two
    with row_security.seen_as(str(ours.organisation_id)):
        assert not Job.objects.filter(organisation=theirs.organisation).update(priority=9)
        assert not WebhookEndpoint.objects.filter(organisation=theirs.organisation).delete()[0]
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            WebhookEndpointFactory(organisation=theirs.organisation)
        WebhookEndpointFactory(organisation=ours.organisation)


def test_building_twice_changes_nothing_and_switching_off_takes_the_walls_down(
    settings: Any, postgresql: None
) -> None:
    settings.ROW_LEVEL_SECURITY = True
    assert set(row_security.build()) == TABLES
    assert row_security.build() == []
    settings.ROW_LEVEL_SECURITY = False
    assert set(row_security.build()) == TABLES
    assert row_security.build() == []


def test_who_owns_nothing_may_prepare_what_stands_and_is_told_what_does_not(
    walls: None, settings: Any
) -> None:
    prepare._build_walls()
    settings.ROW_LEVEL_SECURITY = False
    with pytest.raises(CommandError, match="the owner of the tables"), transaction.atomic():
        prepare._build_walls()


# --- What a request says -------------------------------------------------------------------------


@pytest.fixture
def unfiltered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every view forgets whose rows it may show."""
    monkeypatch.setattr(tenancy, "visible", lambda rows, user, path="organisation": rows)


def client_of(user: Any) -> Client:
    row = ApiKey(name="script", user=user, scope="admin")
    key = row.issue()
    row.save()
    return Client(headers={"Authorization": f"Bearer {key}"})


def test_a_view_that_forgets_its_filter_shows_nothing_of_others(
    two: tuple[Member, Member], unfiltered: None
) -> None:
    ours, theirs = two
    client = client_of(ours.user)
    for prefix in ("jobs", "flows", "connections", "webhooks", "webhook-deliveries"):
        rows = client.get(f"{API}{prefix}/").json()["results"]
        assert len(rows) == 1, prefix
    job = Job.objects.get(organisation=theirs.organisation)
    assert client.get(f"{API}jobs/{job.case_id}/status").status_code == 404


def test_the_wall_is_what_hid_them(
    two: tuple[Member, Member], unfiltered: None, settings: Any
) -> None:
    with as_owner():
        settings.ROW_LEVEL_SECURITY = False
        row_security.build()
    assert len(client_of(two[0].user).get(f"{API}jobs/").json()["results"]) == 2


def test_our_staff_see_all_by_key_and_by_session(two: tuple[Member, Member], person: Any) -> None:
    staff = person("operator")
    by_session = Client()
    by_session.force_login(staff)
    for client in (client_of(staff), by_session):
        assert len(client.get(f"{API}jobs/").json()["results"]) == 2


def test_a_member_s_session_is_narrow_from_the_beginning(two: tuple[Member, Member]) -> None:
    assert inside(two[0].user) == (str(two[0].organisation_id), each(1))
    assert inside(AnonymousUser()) == ("", each(0))


def inside(user: Any, fail: bool = False) -> tuple[str | None, dict[str, int]]:
    """What a request of the user's says, and sees."""
    found: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append((said(), seen()))
        if fail:
            raise LookupError
        return HttpResponse()

    request = RequestFactory().get("/")
    request.user = user
    row_security.RowSecurityMiddleware(view)(request)
    return found[0]


def test_nothing_of_a_request_is_left_for_the_next(two: tuple[Member, Member]) -> None:
    client_of(two[0].user).get(f"{API}jobs/")
    assert said() == "*"
    with pytest.raises(LookupError):
        inside(two[0].user, fail=True)
    assert said() == "*"


def test_the_metrics_token_sees_the_figures_of_all(
    two: tuple[Member, Member], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.METRICS_TOKEN = "a-token"
    told: list[str | None] = []
    monkeypatch.setattr("orchestrator_site.metrics.COLLECTORS", [lambda: told.append(said()) or ()])
    Client().get("/metrics", headers={"Authorization": "Bearer a-token"})
    assert told == ["*"]


@pytest.mark.parametrize(("what", "wanted"), [(None, "*"), ("", ""), ("an-id", "an-id")])
def test_a_new_connection_says_it_before_anything_is_asked(
    settings: Any, postgresql: None, what: str | None, wanted: str
) -> None:
    settings.ROW_LEVEL_SECURITY = True
    assert in_a_thread(lambda: _said_anew(what)) == wanted


def test_a_connection_that_broke_is_made_anew_and_says_it(settings: Any, postgresql: None) -> None:
    settings.ROW_LEVEL_SECURITY = True

    def broken() -> str | None:
        own = connections["default"]
        own.ensure_connection()
        own.connection.close()  # as by a server that went away
        return _said_anew("an-id")

    assert in_a_thread(broken) == "an-id"


def _said_anew(what: str | None) -> str | None:
    if what is None:
        return said()
    with row_security.seen_as(what):
        return said()


def in_a_thread(function: Callable[[], Any]) -> Any:
    """With a connection of its own."""
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(function())
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0] if found else None


def test_where_it_is_off_no_statement_is_spent_on_it(django_assert_num_queries: Any) -> None:
    member = MemberFactory()
    with django_assert_num_queries(0), row_security.seen_as("x"):
        row_security.let_in(member.user)


# --- The check -----------------------------------------------------------------------------------


def warned() -> bool:
    return "orchestrator.W006" in [message.id for message in checks.production(None)]


def test_a_wall_that_holds_is_not_warned_of(walls: None) -> None:
    assert not warned()


def test_a_wall_that_stops_nobody_is_warned_of(settings: Any) -> None:
    """SQLite, and on PostgreSQL the owner's role."""
    assert not warned()
    settings.ROW_LEVEL_SECURITY = True
    row_security.build()
    assert warned()
