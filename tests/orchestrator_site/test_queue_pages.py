"""The queue pages: what they show and to whom, what their filters find, at what cost."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from brain.assigning import DISTRIBUTION
from orchestrator_site.dashboard.queues import hours, matching
from orchestrator_site.dashboard.queues.catalogue import KINDS
from orchestrator_site.dashboard.queues.hours import last_day, percentile
from orchestrator_site.dashboard.queues.matching import Asked, find, tiles
from orchestrator_site.models import ApiKey, Pause
from queues.models import NbcRecord, QueueEntry, TramiteTask
from tests import distribution
from tests.factories import (
    JobFactory,
    MemberFactory,
    NbcRecordFactory,
    OrganismoFactory,
    TramiteTaskFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
APPEALS, LOOKUPS, JOBS = (KINDS[name] for name in ("appeals", "lookups", "jobs"))
MOST = 12
PAGES = ["/admin/queues/appeals/", "/admin/queues/lookups/", "/admin/queues/jobs/"]


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    """The figures of hours are those of each test's own rows."""
    yield from _forgotten()


def _forgotten() -> Iterator[None]:
    keys = [f"queue-hours:{name}" for name in KINDS]
    cache.delete_many(keys)
    yield
    cache.delete_many(keys)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test can reach."""
    for name in ("WINDOW", "TEXT_WINDOW", "COUNTED"):
        monkeypatch.setattr(matching, name, 4)
    monkeypatch.setattr(matching, "PAGE", 3)


def put(status: str, **values: Any) -> TramiteTask:
    """A row in a state, however it came there."""
    task = TramiteTaskFactory()
    if status == "processing":
        now = timezone.now()
        values = {
            "lease_token": uuid.uuid4(),
            "lease_expires_at": now + timedelta(seconds=30),
            "started_at": now,
            **values,
        }
    TramiteTask.objects.filter(pk=task.pk).update(status=status, **values)
    return TramiteTask.objects.get(pk=task.pk)


def found(kind: Any = APPEALS, **given: str) -> list[Any]:
    """The keys on the page that the filters give."""
    return [row.pk for row in find(kind, Asked.of(kind, given), timezone.now()).rows]


def walked(kind: Any, **given: str) -> list[Any]:
    """The keys on all pages, one after another."""
    keys: list[Any] = []
    asked, after = given, None
    while True:
        asked = {**given, **({"after": str(after)} if after is not None else {})}
        page = find(kind, Asked.of(kind, asked), timezone.now())
        keys += [row.pk for row in page.rows]
        if page.next is None:
            return keys
        after = page.next


def shown(client: Client, page: str) -> str:
    answer = client.get(page)
    assert answer.status_code == 200
    return answer.content.decode()


# --- Filters --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_state_of_the_rows_has_a_tile(kind: Any) -> None:
    assert set(kind.states) == set(kind.model.Status.values)


def test_a_tile_counts_what_its_link_lists(signed_in: SignedIn) -> None:
    for status in ("pending", "pending", "held", "failed"):
        put(status)
    client = signed_in("viewer")
    tiles_shown = client.get(PAGES[0]).context["tiles"]
    assert {one.label: one.count.count for one in tiles_shown if one.count.count} == {
        "Pending": 2,
        "Held": 1,
        "Failed": 1,
    }
    for one in tiles_shown:
        assert len(client.get(one.url).context["lines"]) == one.count.count


def test_the_tile_of_the_chosen_state_leads_back_to_all(signed_in: SignedIn) -> None:
    put("pending")
    context = signed_in("viewer").get(f"{PAGES[0]}?state=pending&party=x").context
    (chosen,) = [one for one in context["tiles"] if one.is_chosen]
    assert (chosen.label, chosen.url) == ("Pending", f"{PAGES[0]}?party=x")


def test_filters_narrow_together() -> None:
    old = {"created_at": timezone.now() - timedelta(hours=2)}
    wanted = put("failed", site_id="madrid", error_class="site", **old)
    put("failed", site_id="madrid", error_class="site")
    put("failed", site_id="madrid", error_class="payload", **old)
    put("failed", error_class="site", **old)
    put("cancelled", site_id="madrid", error_class="site", **old)
    narrow = {"state": "failed", "party": "madrid", "error": "site", "age": "1h"}
    assert found(**narrow) == [wanted.pk]
    for name in narrow:
        assert len(found(**{key: value for key, value in narrow.items() if key != name})) == 2
    counts = tiles(APPEALS, Asked.of(APPEALS, {**narrow, "state": ""}), timezone.now()).counts
    assert {state: one.count for state, one in counts.items() if one.count} == {
        "failed": 1,
        "cancelled": 1,
    }


def test_a_filter_that_means_nothing_is_left_out() -> None:
    task = put("pending")
    nonsense = {"state": "x", "age": "x", "error": "x", "order": "x", "after": "1e3", "q": " \0 "}
    assert found(**nonsense) == [task.pk]
    job = JobFactory()
    assert found(JOBS, party="no-uuid") == [job.pk]
    assert found(JOBS, party=str(uuid.uuid4())) == []
    assert found(JOBS, party=str(job.organisation_id)) == [job.pk]


def test_what_is_older_comes_the_oldest_first_unless_asked_otherwise() -> None:
    first, second = (put("pending", created_at=timezone.now() - timedelta(days=2)) for _ in "12")
    assert found(age="1d") == [first.pk, second.pk]
    assert found(age="1d", order="newest") == [second.pk, first.pk]
    assert found() == [second.pk, first.pk]
    assert found(order="oldest") == [first.pk, second.pk]


def test_lookups_are_filtered_by_the_generator_and_the_error_of_their_tasks() -> None:
    distribution.pool()
    entry = distribution.assigned()
    NbcRecordFactory()
    QueueEntry.objects.filter(pk=entry.pk).update(error_class="device")
    assert found(LOOKUPS, party="G_SISEC") == [entry.nbc_id]
    assert found(LOOKUPS, party="G_IAD") == []
    assert found(LOOKUPS, error="device") == [entry.nbc_id]
    assert found(LOOKUPS, error="site") == []


# --- Text -----------------------------------------------------------------------------------------


def test_an_appeal_is_found_by_its_keys_and_by_its_payload() -> None:
    task = put("pending", payload={"expediente": "2026/777-MUL", "sujeto": "Ana Pérez Muñoz"})
    put("pending")
    texts = (str(task.resource_id), str(task.case_id), "2026/777", "pérez muñoz", "ANA P")
    for text in texts:
        assert found(q=text) == [task.pk], text
    assert found(q="Ana%") == []
    assert found(q=str(uuid.uuid4())) == []


def test_a_person_is_found_by_curp_case_task_and_record() -> None:
    distribution.pool()
    entry = distribution.assigned(data={"nombre": "Íñigo Inventado"})
    other = NbcRecordFactory()
    person = entry.nbc
    for text in (person.curp, person.nbc_id, str(person.case_id), str(entry.pk), "íñigo inv"):
        assert found(LOOKUPS, q=text) == [person.pk], text
    assert found(LOOKUPS, q="XEXX") == [other.pk, person.pk]


def test_a_job_is_found_by_its_inputs_but_not_by_a_secret_one() -> None:
    steps = [
        {"do": "fill", "selector": "#a", "value": "{{ payload.invoice }}"},
        {"do": "fill", "selector": "#b", "value": "{{ secret.pin }}"},
    ]
    inputs = {"invoice": "F-2026-1", "pin": "hidden-pin"}
    job = JobFactory(steps=steps, inputs=inputs, metadata={"desk": "north"})
    for text in (str(job.case_id), job.user.get_username(), "f-2026", "north"):
        assert found(JOBS, q=text) == [job.pk], text
    assert found(JOBS, q="hidden") == []


def test_a_text_is_looked_for_among_so_many_rows_and_further_on_demand(few: None) -> None:
    wanted = put("pending", payload={"sujeto": "Ana"})
    for _number in range(6):
        put("pending")
    page = find(APPEALS, Asked.of(APPEALS, {"q": "Ana"}), timezone.now())
    assert (page.rows, page.looked_at) == ([], 4)
    assert page.next is not None
    assert walked(APPEALS, q="Ana") == [wanted.pk]
    named = find(APPEALS, Asked.of(APPEALS, {"q": str(wanted.resource_id)}), timezone.now())
    assert [row.pk for row in named.rows] == [wanted.pk]
    assert (named.is_named, named.next, named.looked_at) == (True, None, None)


# --- Pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("narrow", [{}, {"error": "site"}, {"state": "failed", "q": "Ana"}])
def test_pages_lose_no_row_and_show_none_twice(
    few: None, order: str, narrow: dict[str, str]
) -> None:
    keys = [
        put("failed", error_class="site" if number % 3 else "", payload={"sujeto": "Ana"}).pk
        for number in range(11)
    ]
    if "error" in narrow:
        keys = [key for number, key in enumerate(keys) if number % 3]
    wanted = keys if order == "oldest" else keys[::-1]
    assert walked(APPEALS, order=order, **narrow) == wanted


def test_rows_that_come_in_between_two_pages_shift_nothing(few: None) -> None:
    keys = [put("pending").pk for _number in range(5)]
    first = find(APPEALS, Asked(), timezone.now())
    put("pending")
    second = find(APPEALS, Asked(after=first.next), timezone.now())
    assert [row.pk for row in (*first.rows, *second.rows)] == keys[::-1]


def test_many_rows_are_counted_no_further_than_tells_something(few: None) -> None:
    for _number in range(6):
        put("completed")
    put("failed", error_class="site")
    counts = tiles(APPEALS, Asked(), timezone.now()).counts
    assert (counts["completed"].count, counts["completed"].is_more) == (4, True)
    assert (counts["failed"].count, counts["failed"].is_more) == (1, False)


# --- What it waits for ----------------------------------------------------------------------------


def test_each_appeal_says_what_it_waits_for() -> None:
    soon = timezone.now() + timedelta(minutes=9)
    later = put("pending", available_at=soon, error_log="the site was down")
    rows = [put("pending"), later, put("held", hold_reason="who is it?"), put("in_doubt")]
    told = [line.told for line in APPEALS.lines(rows, timezone.now())]
    assert told[0].startswith("no worker files appeals now")
    assert told[1].startswith("not before ")
    assert told[1].endswith(". the site was down")
    assert told[2] == "who is it?"
    assert "may have been sent" in told[3]


def test_each_person_says_what_they_wait_for() -> None:
    distribution.pool()
    distribution.assigned()
    entry = distribution.accepted()
    blocker = {"kind": "nobody", "passed": [["G_IAD", "busy", 0]]}
    rows = [
        NbcRecord.objects.get(pk=entry.nbc_id),
        NbcRecordFactory(blocker=blocker),
        NbcRecordFactory(),
    ]
    now = timezone.now()
    told = [line.told for line in LOOKUPS.lines(rows, now)]
    assert told[0].startswith(f"the scraper has it on {entry.device}: result due by ")
    assert told[1] == "all devices of G_IAD are busy"
    assert told[2] == "nobody has looked yet: the next round will"
    Pause.begin(DISTRIBUTION, "maintenance")
    assert [line.told for line in LOOKUPS.lines(rows, now)][1:] == ["distribution is paused"] * 2


def test_each_job_says_what_it_waits_for() -> None:
    rows = [JobFactory(), JobFactory(status="held"), JobFactory(published_at=timezone.now())]
    told = [line.told for line in JOBS.lines(rows, timezone.now())]
    assert told[0].startswith("no worker takes jobs now")
    assert told[1] == f"waits for a session of {rows[1].user.get_username()} at demo"
    assert told[2].startswith("given to the isolated workers")


# --- Under way ------------------------------------------------------------------------------------


def test_what_runs_is_shown_the_late_ones_on_top_and_in_words(signed_in: SignedIn) -> None:
    now = timezone.now()
    calm = put("processing", worker="w-calm", started_at=now - timedelta(minutes=1))
    late = put("processing", worker="w-late", started_at=now - timedelta(seconds=5))
    past = now - timedelta(seconds=1)
    TramiteTask.objects.filter(pk=late.pk).update(lease_expires_at=past, intent_at=now)
    answer = signed_in("viewer").get(PAGES[0])
    runs = answer.context["running"].runs
    assert [(run.worker, run.is_late) for run in runs] == [("w-late", True), ("w-calm", False)]
    assert "the irrevocable step has begun" in runs[0].step
    assert runs[1].due_at == calm.started_at + timedelta(seconds=300)
    assert answer.content.decode().count("Too long") == 1


def test_a_task_with_the_scraper_tells_its_device_and_when_its_result_is_due() -> None:
    distribution.pool()
    distribution.assigned()
    entry = distribution.accepted()
    now = timezone.now()
    (run,) = LOOKUPS.runs(list(LOOKUPS.under_way()), now)
    assert (run.name, run.device, run.party) == (entry.curp, entry.device, "G_SISEC")
    assert (run.due_at, run.lease_until, run.is_late) == (entry.result_due_at, None, False)
    distribution.overdue(entry)
    (run,) = LOOKUPS.runs(list(LOOKUPS.under_way()), now)
    assert run.is_late


# --- Hours ----------------------------------------------------------------------------------------


def ended(at: datetime, waited: int, status: str = "completed") -> TramiteTask:
    started = at - timedelta(seconds=1)
    created = started - timedelta(seconds=waited)
    return put(status, created_at=created, started_at=started, processed_at=at)


def test_each_hour_tells_how_much_ended_and_what_it_had_waited() -> None:
    now = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
    for waited in (10, 20, 30, 40):
        ended(now - timedelta(hours=2), waited)
    ended(now - timedelta(hours=2), 1000, "failed")
    ended(now - timedelta(minutes=5), 7, "completed_with_errors")
    ended(now - timedelta(days=2), 5)
    put("cancelled", processed_at=now)
    found = last_day(APPEALS, now)
    assert len(found) == 24
    assert (found[-1].at, found[-1].good, found[-1].bad, found[-1].median) == (
        datetime(2026, 5, 4, 12, tzinfo=UTC),
        1,
        0,
        7,
    )
    assert (found[-3].good, found[-3].bad, found[-3].median) == (4, 1, 30)
    assert found[-3].p95 == pytest.approx(808)
    assert [one for one in found if one.good or one.bad] == [found[-3], found[-1]]


def test_an_hour_that_is_over_is_counted_once() -> None:
    now = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
    ended(now - timedelta(hours=3), 10)
    first = last_day(APPEALS, now)
    ended(now - timedelta(hours=3), 10)
    ended(now - timedelta(minutes=1), 10)
    second = last_day(APPEALS, now)
    assert second[:-1] == first[:-1]
    assert (first[-1].good, second[-1].good) == (0, 1)
    with CaptureQueriesContext(connection) as queries:
        last_day(APPEALS, now)
    assert len(queries) == 1


def test_a_full_day_is_counted_look_by_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hours, "ENOUGH", 3)
    now = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
    for back in (1, 1, 2, 2, 3, 3):
        ended(now - timedelta(hours=back), 10)
    looks = [[one.good for one in last_day(APPEALS, now) if one.is_counted] for _look in range(4)]
    assert [sum(one) for one in looks] == [2, 4, 6, 6]
    assert len(looks[-1]) == 24


def test_hours_of_lookups_and_jobs() -> None:
    now = timezone.now()
    distribution.pool()
    distribution.assigned()
    entry = distribution.posted()
    QueueEntry.objects.filter(pk=entry.pk).update(
        status="Complete", success=False, condition=4, processed_at=now, lease_token=None
    )
    assert (last_day(LOOKUPS, now)[-1].good, last_day(LOOKUPS, now)[-1].bad) == (0, 1)
    JobFactory(status="done", processed_at=now)
    JobFactory(status="error", processed_at=now)
    JobFactory(status="cancelled", processed_at=now)
    (hour,) = [one for one in last_day(JOBS, now) if one.good]
    assert (hour.good, hour.bad, hour.median) == (1, 1, None)


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([5.0], 0.95) == 5
    assert percentile([1.0, 2.0, 3.0, 10.0], 0.5) == 2.5


# --- Who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_staff_see_it_and_operators_act(signed_in: SignedIn, page: str) -> None:
    put("pending"), NbcRecordFactory(), JobFactory()
    viewer = shown(signed_in("viewer"), page)
    assert 'name="_selected_action"' not in viewer
    operator = shown(signed_in("operator"), page)
    assert 'name="_selected_action"' in operator
    assert 'value="cancel"' in operator


@pytest.mark.parametrize("name", list(KINDS))
def test_members_and_scrapers_see_no_queue(client: Client, name: str) -> None:
    member = MemberFactory().user
    scraper = User.objects.create_user("scraper-person", is_staff=True)
    scraper.groups.add(Group.objects.get(name="scraper"))
    for user in (member, scraper):
        client.force_login(user)
        assert client.get(f"/admin/queues/{name}/").status_code in (302, 403)
        assert client.get(f"/api/v1/queues/{name}/").status_code == 403
    User.objects.filter(pk=member.pk).update(is_staff=True)
    client.force_login(User.objects.get(pk=member.pk))
    assert client.get(f"/admin/queues/{name}/").status_code == 403


def test_the_selected_are_acted_on_by_the_list_s_own_action(signed_in: SignedIn) -> None:
    task, other = put("pending"), put("pending")
    client = signed_in("operator")
    page = client.get(PAGES[0])
    form = {"index": "0", "select_across": "0", "action": "cancel", "_selected_action": [task.pk]}
    asked = client.post(page.context["list_url"], form)
    assert asked.status_code == 200
    assert str(task) in asked.content.decode()
    done = {**form, "reason": "by the test", "confirmed": "1"}
    del done["index"]
    client.post(page.context["list_url"], done)
    assert distribution.reread(task).status == "cancelled"
    assert distribution.reread(other).status == "pending"


@pytest.mark.parametrize(
    ("page", "query"),
    [(PAGES[0], "state=pending&party=madrid"), (PAGES[1], "state=pending")],
)
def test_all_of_a_filter_are_acted_on_in_the_same_list(
    signed_in: SignedIn, page: str, query: str
) -> None:
    put("pending"), put("pending", site_id="madrid"), put("failed", site_id="madrid")
    OrganismoFactory(site_id="madrid")
    NbcRecordFactory(), NbcRecordFactory(status="failed")
    client = signed_in("operator")
    answer = client.get(f"{page}?{query}")
    listed = client.get(answer.context["same_list"]).context["cl"].result_list
    assert [row.pk for row in listed] == [one.key for one in answer.context["lines"]]
    assert len(listed) == 1
    assert client.get(f"{page}?{query}&q=x").context["same_list"] == ""


# --- The page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_queue_says_what_fills_it(signed_in: SignedIn, page: str) -> None:
    client = signed_in("viewer")
    text = shown(client, page)
    assert "The queue is empty." in text
    assert "Nothing is under way." in text
    assert "Nothing matches." in shown(client, f"{page}?age=1d")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_costs_few_queries_however_many_rows(signed_in: SignedIn, page: str) -> None:
    distribution.pool(3)
    distribution.assigned()
    distribution.accepted()
    for _number in range(5):
        put("pending"), put("processing"), NbcRecordFactory()
        JobFactory(), JobFactory(status="held")
    client = signed_in("operator")
    shown(client, page)  # the hours that are over are counted by now
    for query in ("", "?age=5m&error=site", "?q=nothing"):
        with CaptureQueriesContext(connection) as queries:
            shown(client, page + query)
        assert len(queries) <= MOST, "\n".join(one["sql"][:150] for one in queries)


def test_what_renews_itself_brings_no_filters_and_no_charts(signed_in: SignedIn) -> None:
    put("pending")
    client = signed_in("viewer")
    part = client.get(PAGES[0], headers={"HX-Request": "true"}).content.decode()
    assert 'id="queue"' in part
    assert "Select" not in part
    assert not re.search(r"<canvas|queue-filters", part)


# --- API and command ------------------------------------------------------------------------------


def test_the_api_tells_the_same(signed_in: SignedIn) -> None:
    task = put("held")
    put("processing", worker="w1")
    client = signed_in("viewer")
    told = client.get("/api/v1/queues/appeals/").json()
    states = {one["state"]: one["count"] for one in told["states"]}
    assert (states["held"], states["processing"], states["failed"]) == (1, 1, 0)
    assert told["oldest"]["state"] == "held"
    assert datetime.fromisoformat(told["oldest"]["created_at"]) == task.created_at
    assert [one["worker"] for one in told["running"]] == ["w1"]
    assert len(told["hours"]) == 24
    assert client.get("/api/v1/queues/nothing/").status_code == 404


def test_a_key_reads_it_and_nobody_without(client: Client, person: Callable[[str], User]) -> None:
    assert client.get("/api/v1/queues/jobs/").status_code in (401, 403)
    row = ApiKey(name="test", user=person("viewer"), scope=ApiKey.Scope.READ)
    key = row.issue()
    row.save()
    answer = client.get("/api/v1/queues/jobs/", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200


def test_the_command_tells_them_all_or_one() -> None:
    put("held"), JobFactory(), NbcRecordFactory()
    out = StringIO()
    call_command("queues", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert list(told) == ["appeals", "lookups", "jobs"]
    assert told["jobs"]["oldest"]["state"] == "queued"
    out = StringIO()
    call_command("queues", "appeals", stdout=out)
    assert "Held" in out.getvalue()
    assert "Queue of jobs" not in out.getvalue()
