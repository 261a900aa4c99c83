"""The shares page, decisions and batches in the admin, each by who may do what."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from brain import assigning, main_config, shares
from brain.models import Decision, DistributionBatch
from devices.models import Device
from orchestrator_site.models import Event
from queues.models import Generator, ShareChange
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
LEVELS = ("good", "normal", "bad")
EVEN = {"G_IAD": 25, "G_MASTER": 25, "G_IAD2": 25, "G_SISEC": 25}


def each(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {level: dict(row) for level in LEVELS}


def form(wanted: dict[str, dict[str, Any]], **values: Any) -> dict[str, Any]:
    """What the grid sends."""
    cells = {f"{level}-{name}": n for level, row in wanted.items() for name, n in row.items()}
    return {**cells, "do": "save", "reason": "a test", "seen": shares.last_id(), **values}


def send(client: Client, data: dict[str, Any]) -> Any:
    return client.post(reverse("admin:brain_shares"), data)


def value(page: Any, name: str) -> str:
    """What stands in an input of the grid; it is the first form of the page."""
    return re.findall(rf'name="{name}" value="([^"]*)"', page.content.decode())[0]


@pytest.fixture
def pools(db: None) -> None:
    for row in Generator.objects.all():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(3, fleet=row.fleet, process=row.process)


# --- The grid -------------------------------------------------------------------------------------


def test_the_grid_stands_in_rotation_with_each_generator_s_state(signed_in: SignedIn) -> None:
    Generator.objects.filter(name="G_SISEC").update(enabled=False)
    page = signed_in("viewer").get(reverse("admin:brain_shares"))
    text = page.content.decode()
    places = [text.index(f'name="good-{name}"') for name in ("G_IAD", "G_MASTER", "G_IAD2")]
    assert places == sorted(places)
    assert value(page, "bad-G_IAD") == "75"
    assert text.count("Disabled") == 1
    # Nothing has finished: each generator's row is the normal one.
    assert text.count('class="in-force"') == 4
    assert all(row["total"] == 100 for row in page.context["rows"])


def test_shares_are_saved_with_the_reason(signed_in: SignedIn) -> None:
    answer = send(signed_in("operator"), form(each(EVEN), reason="a quiet night"))
    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:brain_shares"))
    assert shares.current() == each(EVEN)
    newest = ShareChange.objects.first()
    assert newest and (newest.by, newest.reason) == ("user:operator-person", "a quiet night")


@pytest.mark.once
@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("24", "Good: the shares sum to 99 instead of 100."),
        ("125", "Good: each share is a whole number from 0 to 100."),
        ("", "Good: each share is a whole number from 0 to 100."),
        ("-1", "Good: each share is a whole number from 0 to 100."),
        ("25.0", "Good: each share is a whole number from 0 to 100."),
        ("²", "Good: each share is a whole number from 0 to 100."),
        ("9" * 5000, "Good: each share is a whole number from 0 to 100."),
        ("<b>", "Good: each share is a whole number from 0 to 100."),
    ],
)
def test_what_does_not_sum_is_refused_and_stays_typed(
    signed_in: SignedIn, cell: str, told: str
) -> None:
    before = shares.current()
    page = send(signed_in("operator"), {**form(each(EVEN)), "good-G_SISEC": cell})
    assert page.context["problems"] == [told]
    assert shares.current() == before
    assert not ShareChange.objects.exists()
    assert value(page, "good-G_IAD") == "25"
    assert value(page, "good-G_SISEC") == cell.replace("<", "&lt;").replace(">", "&gt;")
    assert 'value="a test"' in page.content.decode()


@pytest.mark.parametrize("reason", ["", "  ", "ab", "x" * 1001, "a\0b"])
def test_a_reason_is_asked(signed_in: SignedIn, reason: str) -> None:
    page = send(signed_in("operator"), form(each(EVEN), reason=reason))
    assert page.context["problems"] == ["Please give a reason of three to a thousand letters."]
    assert not ShareChange.objects.exists()
    assert value(page, "good-G_IAD") == "25"


def test_a_viewer_looks_and_simulates_but_sets_nothing(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    page = client.get(reverse("admin:brain_shares"))
    assert b'value="save"' not in page.content
    assert b'value="revert"' not in page.content
    change = shares.put(each(EVEN), "before")
    assert change
    for do in ("save", "revert", "look", "import"):
        data = {"do": do, "change": change.pk, "reason": "because", "document": "{}"}
        assert send(client, {**form(each(EVEN)), **data}).status_code == 403
    assert send(client, form(each(EVEN), do="simulate", people=100)).context["simulation"]


def test_who_has_no_role_does_not_look(client: Client, django_user_model: Any) -> None:
    client.force_login(django_user_model.objects.create_user("new", is_staff=True))
    assert client.get(reverse("admin:brain_shares")).status_code == 403
    assert client.get(reverse("admin:brain_shares_export")).status_code == 403
    client.logout()
    assert client.get(reverse("admin:brain_shares")).status_code == 302


def test_without_the_token_of_the_form_nothing_is_saved(person: Callable[[str], Any]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("operator"))
    assert send(client, form(each(EVEN))).status_code == 403
    assert not ShareChange.objects.exists()


# --- Two people at once ---------------------------------------------------------------------------


ALL_IAD = {"G_IAD": 100, "G_MASTER": 0, "G_IAD2": 0, "G_SISEC": 0}
HALVES = {"G_IAD": 50, "G_MASTER": 50, "G_IAD2": 0, "G_SISEC": 0}


def offered(page: Any) -> dict[str, dict[str, Any]]:
    """What the grid would send."""
    return {
        row["level"]: {cell["name"]: cell["value"] for cell in row["cells"]}
        for row in page.context["rows"]
    }


def disputed(page: Any) -> list[str]:
    return [row["level"] for row in page.context["rows"] if row["is_disputed"]]


def test_the_second_of_two_is_refused_and_sees_both(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    mine = form(each(ALL_IAD))
    shares.put(each(EVEN), "somebody was faster")
    page = send(client, mine)
    (theirs,) = page.context["meanwhile"]
    assert theirs.change.reason == "somebody was faster"
    text = page.content.decode()
    assert "G_IAD2 40 → 25" in text
    assert shares.current() == each(EVEN)
    assert value(page, "good-G_IAD") == "100"
    (cell,) = [c for c in page.context["rows"][0]["cells"] if c["name"] == "G_IAD"]
    assert (cell["value"], cell["now"]) == (100, 25)
    assert disputed(page) == list(LEVELS) and text.count("both changed it") == 3
    # The page now knows of theirs: who saves again does so knowingly.
    again = {**mine, "seen": value(page, "seen")}
    assert send(client, again).status_code == 302
    assert shares.current()["good"]["G_IAD"] == 100


def test_of_two_that_change_different_rows_neither_undoes_the_other(signed_in: SignedIn) -> None:
    client, before = signed_in("operator"), shares.current()
    mine = form({**before, "good": ALL_IAD, "bad": EVEN})
    shares.put({**before, "normal": EVEN, "bad": EVEN}, "theirs")
    page = send(client, mine)
    assert offered(page) == {"good": ALL_IAD, "normal": EVEN, "bad": EVEN}
    assert disputed(page) == []
    again = form(offered(page), seen=value(page, "seen"))
    assert send(client, again).status_code == 302
    assert shares.current() == {"good": ALL_IAD, "normal": EVEN, "bad": EVEN}


def test_a_row_that_both_changed_is_marked_and_the_others_are_not(signed_in: SignedIn) -> None:
    shares.put(each(EVEN), "as both saw it")
    mine = form({**each(EVEN), "good": ALL_IAD})
    shares.put({**each(EVEN), "good": HALVES, "bad": HALVES}, "theirs")
    page = send(signed_in("operator"), mine)
    assert offered(page) == {"good": ALL_IAD, "normal": EVEN, "bad": HALVES}
    assert disputed(page) == ["good"]
    now = {cell["name"]: cell["now"] for cell in page.context["rows"][0]["cells"]}
    assert now == HALVES


def test_who_forgets_the_reason_does_not_take_the_others_change_for_seen(
    signed_in: SignedIn,
) -> None:
    client, before = signed_in("operator"), shares.current()
    mine = form({**before, "good": ALL_IAD}, reason="")
    shares.put({**before, "bad": EVEN}, "theirs")
    for do in ("save", "simulate"):
        page = send(client, {**mine, "do": do})
        again = form(offered(page), seen=value(page, "seen"))
        assert "meanwhile" in send(client, again).context
    assert shares.current() == {**before, "bad": EVEN}


def test_a_form_that_saw_what_never_was_is_refused_in_words(signed_in: SignedIn) -> None:
    shares.put(each(EVEN), "before")
    page = send(signed_in("operator"), form(each(ALL_IAD), seen=99_999))
    assert "Not saved" in page.content.decode()
    assert disputed(page) == list(LEVELS)


def test_who_takes_the_remainder_is_told_beside_its_column(signed_in: SignedIn) -> None:
    text = signed_in("viewer").get(reverse("admin:brain_shares")).content.decode()
    (told,) = re.findall(r'"name">(\w+)</span><small[^>]*>takes what the others leave<', text)
    assert told == "G_IAD"


def test_a_form_that_does_not_say_what_it_saw_is_refused(signed_in: SignedIn) -> None:
    shares.put(each(EVEN), "before")
    client = signed_in("operator")
    data = form({**each(EVEN), "good": {**EVEN, "G_IAD": 0, "G_MASTER": 50}})
    for seen in ("", "x", "9" * 40):
        assert "meanwhile" in send(client, {**data, "seen": seen}).context
    assert shares.current() == each(EVEN)


# --- History --------------------------------------------------------------------------------------


def test_a_change_is_reverted_by_one_click_and_a_reason(signed_in: SignedIn) -> None:
    before = shares.current()
    shares.put(each(EVEN), "a trial")
    first = ShareChange.objects.last()
    assert first
    client = signed_in("operator")
    page = client.get(reverse("admin:brain_shares")).content.decode()
    assert "Good: G_IAD2 40 → 25, G_SISEC 10 → 25" in page
    data = {"do": "revert", "change": first.pk, "seen": shares.last_id(), "reason": "it was worse"}
    assert send(client, {**data, "reason": ""}).context["problems"]
    assert shares.current() == each(EVEN)
    assert send(client, data).status_code == 302
    assert shares.current() == before
    assert Event.objects.get(reason="it was worse").actor == "operator-person"
    assert client.get(reverse("admin:brain_shares"), data).status_code == 200
    assert ShareChange.objects.count() == 3
    assert send(client, {**data, "change": 99_999}).status_code == 404


# --- The simulator --------------------------------------------------------------------------------


def test_the_simulator_answers_on_the_page_and_writes_nothing(
    signed_in: SignedIn, pools: None
) -> None:
    client = signed_in("operator")
    before = shares.current()
    page = send(client, form(each(EVEN), do="simulate", people="200", reason=""))
    told = page.context["simulation"]
    assert {line.name: line.proposed for line in told.lines} == dict.fromkeys(EVEN, 50)
    assert value(page, "good-G_IAD") == "25"
    assert "finds one free" in page.content.decode()
    assert shares.current() == before
    assert not ShareChange.objects.exists()


def test_without_a_number_the_last_day_is_taken(signed_in: SignedIn, pools: None) -> None:
    NbcRecordFactory.create_batch(8)
    assigning.run_round()
    told = send(signed_in("viewer"), form(each(EVEN), do="simulate")).context["simulation"]
    assert (told.people, told.is_invented) == (8, False)
    assert sum(line.happened for line in told.lines) == 8


@pytest.mark.once
@pytest.mark.parametrize("people", ["-1", "many", "1.5", "10000", "0"])
def test_a_number_of_people_that_is_none_is_told(signed_in: SignedIn, people: str) -> None:
    page = send(signed_in("viewer"), form(each(EVEN), do="simulate", people=people))
    assert page.context["problems"] == ["The number of people is a whole number from 1 to 9999."]


def test_shares_that_do_not_sum_are_not_simulated(signed_in: SignedIn) -> None:
    data = {**form(each(EVEN), do="simulate"), "bad-G_IAD": "26"}
    page = send(signed_in("viewer"), data)
    assert page.context["problems"] == ["Bad: the shares sum to 101 instead of 100."]
    assert "simulation" not in page.context


# --- The document's arrays ------------------------------------------------------------------------


def test_the_document_is_exported_as_a_file(signed_in: SignedIn) -> None:
    answer = signed_in("viewer").get(reverse("admin:brain_shares_export"))
    assert answer["Content-Disposition"] == 'attachment; filename="main_config.json"'
    assert json.loads(answer.content) == main_config.export()


def test_a_document_is_looked_at_and_then_written(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    document = json.dumps({**main_config.export(), "distribution_bad": [0, 100, 0, 0]})
    page = send(client, {"do": "look", "document": document})
    assert page.context["differences"] == [
        "Bad: G_IAD 75 → 100, G_IAD2 10 → 0, G_MASTER 10 → 0, G_SISEC 5 → 0"
    ]
    assert "G_IAD2, G_IAD, G_MASTER, G_SISEC" in page.content.decode()
    assert not ShareChange.objects.exists()
    data = {"do": "import", "document": document, "seen": "0", "reason": "from the old system"}
    assert send(client, data).status_code == 302
    assert shares.current()["bad"]["G_IAD"] == 100


def test_a_document_may_come_as_a_file_and_change_who_takes_part(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    text = "\ufeff" + json.dumps({**main_config.export(), "sisec_enabled": False})
    file = SimpleUploadedFile("main_config.json", text.encode())
    page = send(client, {"do": "look", "file": file, "document": "ignored"})
    assert page.context["differences"] == ["G_SISEC is disabled"]
    data = {"document": page.context["document"], "seen": "0", "reason": "the night"}
    assert send(client, {"do": "import", **data}).status_code == 302
    assert not Generator.objects.get(name="G_SISEC").enabled


@pytest.mark.parametrize("text", ["", "{", '{"distribution_good": [1]}', "[" * 99_999])
def test_a_document_that_does_not_fit_is_told_and_stays(signed_in: SignedIn, text: str) -> None:
    page = send(signed_in("operator"), {"do": "look", "document": text})
    assert page.context["problems"]
    assert page.context["document"] == (text or page.context["document"])
    assert not ShareChange.objects.exists()


# --- Decisions and batches ------------------------------------------------------------------------


@pytest.fixture
def decision(pools: None) -> Decision:
    """The second of two: it was the turn of G_MASTER, which is failing."""
    Generator.objects.filter(name="G_MASTER").update(status="fallando")
    NbcRecordFactory.create_batch(2)
    assigning.run_round()
    return Decision.objects.get(choice__counter=1)


def page_of(row: Decision | DistributionBatch) -> str:
    return reverse(f"admin:brain_{row._meta.model_name}_change", args=[row.pk])


def test_a_decision_says_why_in_words_and_numbers(decision: Decision, signed_in: SignedIn) -> None:
    text = signed_in("viewer").get(page_of(decision)).content.decode()
    assert "Counter 1: it was the turn of G_MASTER." in text
    assert "Passed over: G_MASTER is failing." in text
    assert f"G_IAD2 took the person, on device {decision.device}" in text
    assert "Same answer" in text
    assert "ANOTHER ANSWER" not in text
    for row in (decision.nbc, decision.entry):
        meta = row._meta
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
        assert f'href="{url}"' in text


@pytest.mark.parametrize(
    "changed",
    [
        {"counter": 3},
        {"contenders": []},
        {"passed": []},
        {"passed": [["G_MASTER", "busy"]]},
        {"chosen": None},
    ],
)
def test_a_decision_that_does_not_follow_is_shouted_about(
    decision: Decision, signed_in: SignedIn, changed: dict[str, Any]
) -> None:
    decision.choice = {**decision.choice, **changed}
    decision.save(update_fields=["choice"])
    client = signed_in("viewer")
    assert "ANOTHER ANSWER" in client.get(page_of(decision)).content.decode()
    assert client.get(reverse("admin:brain_decision_changelist")).status_code == 200


def test_a_decision_of_which_nothing_is_left_is_shouted_about(
    decision: Decision, signed_in: SignedIn
) -> None:
    Decision.objects.update(choice={})
    assert "ANOTHER ANSWER" in signed_in("viewer").get(page_of(decision)).content.decode()


def test_a_batch_shows_what_its_slots_come_from(decision: Decision, signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    text = client.get(page_of(decision.batch)).content.decode()
    assert "Same answer" in text
    assert "45 %" in text
    assert "the remainder goes to G_IAD." in text
    DistributionBatch.objects.update(slots={"G_IAD": 100})
    assert "ANOTHER ANSWER" in client.get(page_of(decision.batch)).content.decode()
    DistributionBatch.objects.update(inputs={})
    assert "ANOTHER ANSWER" in client.get(page_of(decision.batch)).content.decode()


def test_decisions_of_a_batch_and_of_a_person_are_found(
    decision: Decision, signed_in: SignedIn
) -> None:
    client = signed_in("viewer")
    url = reverse("admin:brain_decision_changelist")
    for query, count in (
        ({"batch__id__exact": decision.batch_id}, 2),
        ({"generator__name__exact": "G_IAD2"}, 1),
        ({"q": decision.nbc.nbc_id}, 1),
        ({"q": decision.nbc.curp}, 1),
        ({"q": decision.device}, 1),
        ({"q": "nobody"}, 0),
    ):
        listed = client.get(url, query)
        assert listed.status_code == 200
        assert len(listed.context["cl"].result_list) == count, query


def test_long_lists_cost_the_same_whatever_their_length(pools: None, signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    url = reverse("admin:brain_decision_changelist")
    client.get(url)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        return len(queries)

    NbcRecordFactory.create_batch(2)
    assigning.run_round()
    few = cost()
    NbcRecordFactory.create_batch(10)
    assigning.run_round()
    assert Decision.objects.count() == 12
    assert cost() == few


def test_the_shares_page_costs_few_statements(pools: None, signed_in: SignedIn) -> None:
    client = signed_in("operator")
    for number in range(5):
        row = {"G_IAD": 100 - number, "G_MASTER": number, "G_IAD2": 0, "G_SISEC": 0}
        shares.put(each(row), f"number {number}")
    client.get(reverse("admin:brain_shares"))
    with CaptureQueriesContext(connection) as queries:
        client.get(reverse("admin:brain_shares"))
    assert len(queries) <= 25, [q["sql"][:90] for q in queries]


def test_the_pages_stand_in_spanish(decision: Decision, signed_in: SignedIn) -> None:
    client = signed_in("operator")
    Device.objects.filter(process="SISEC").update(online=False)
    with translation.override("es"):
        for url in (reverse("admin:brain_shares"), page_of(decision), page_of(decision.batch)):
            assert client.get(url, headers={"Accept-Language": "es"}).status_code == 200
