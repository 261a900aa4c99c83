"""Distribution over HTTP: shares, the simulator, decisions, batches, the switch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from brain import assigning, main_config, shares
from brain.models import Decision
from orchestrator_site.models import ApiKey, Pause
from queues.models import Generator, ShareChange
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
API = "/api/v1/"
LEVELS = ("good", "normal", "bad")
EVEN = {"G_IAD": 25, "G_MASTER": 25, "G_IAD2": 25, "G_SISEC": 25}
EACH = {level: EVEN for level in LEVELS}
Caller = Callable[..., Client]


@pytest.fixture(autouse=True)
def nobody_has_asked_yet() -> None:
    cache.clear()


@pytest.fixture
def caller(person: Callable[[str], User]) -> Caller:
    """A client with a key of a user of the role."""

    def make(role: str = "operator", scope: str = "operate") -> Client:
        row = ApiKey(name="script", user=person(role), scope=scope)
        key = row.issue()
        row.save()
        return Client(headers={"Authorization": f"Bearer {key}"})

    return make


@pytest.fixture
def pools(db: None) -> None:
    for row in Generator.objects.all():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(3, fleet=row.fleet, process=row.process)


def put(client: Client, data: Any) -> Any:
    return client.put(f"{API}shares/", data, content_type="application/json")


def post(client: Client, path: str, data: Any) -> Any:
    return client.post(f"{API}{path}", data, content_type="application/json")


def proposal(**values: Any) -> dict[str, Any]:
    return {"shares": EACH, "reason": "a test", "last_change": shares.last_id(), **values}


def test_shares_are_read_by_name_and_as_the_document_has_them(caller: Caller) -> None:
    told = caller("viewer", "read").get(f"{API}shares/").json()
    assert told == {
        "last_change": 0,
        "shares": shares.current(),
        "order": ["G_IAD2", "G_IAD", "G_MASTER", "G_SISEC"],
        "main_config": main_config.export(),
    }


def test_shares_are_set(caller: Caller) -> None:
    answer = put(caller(), proposal(reason="a quiet night"))
    assert answer.status_code == 200, answer.content
    assert answer.json()["shares"] == EACH == shares.current()
    newest = ShareChange.objects.first()
    assert newest and newest.by == "api_key:operator-person/script"
    assert answer.json()["last_change"] == newest.pk


@pytest.mark.parametrize(
    ("values", "field", "told"),
    [
        ({"shares": {**EACH, "bad": {**EVEN, "G_IAD": 24}}}, "shares", "sum to 99"),
        ({"shares": {**EACH, "bad": {"G_IAD": 100}}}, "shares", "missing or unknown"),
        ({"shares": {**EACH, "awful": EVEN}}, "shares", "awful"),
        ({"shares": {"good": EVEN}}, "shares", "missing or unknown"),
        ({"shares": {**EACH, "bad": {**EVEN, "G_IAD": 10**400}}}, "shares", "whole number"),
        ({"shares": {**EACH, "bad": {**EVEN, "G_IAD": "x"}}}, "shares", "integer"),
        ({"shares": {**EACH, "bad": {**EVEN, "G_IAD": None}}}, "shares", "null"),
        ({"shares": [EVEN]}, "shares", "dictionary"),
        ({"reason": ""}, "reason", "blank"),
        ({"reason": "ab"}, "reason", "at least 3"),
        ({"last_change": None}, "last_change", "null"),
    ],
)
def test_what_cannot_be_is_a_clear_error(
    caller: Caller, values: dict[str, Any], field: str, told: str
) -> None:
    answer = put(caller(), proposal(**values))
    assert answer.status_code == 400
    fields = answer.json()["error"]["fields"]
    assert list(fields) == [field]
    assert told in str(fields[field])
    assert not ShareChange.objects.exists()


def test_who_puts_on_what_is_no_longer_so_gets_a_conflict(caller: Caller) -> None:
    client, late = caller(), proposal()
    shares.put({**EACH, "good": {**EVEN, "G_IAD": 50, "G_MASTER": 0}}, "somebody was faster")
    answer = put(client, late)
    assert answer.status_code == 409
    assert "somebody was faster" in answer.json()["error"]["message"]
    assert shares.current() != EACH


@pytest.mark.parametrize(("role", "scope"), [("viewer", "admin"), ("operator", "read")])
def test_who_may_not_sets_nothing(caller: Caller, role: str, scope: str) -> None:
    client = caller(role, scope)
    data = proposal()
    assert put(client, data).status_code == 403
    for path in ("shares/simulate/", "distribution/pause/", "distribution/resume/"):
        assert post(client, path, data).status_code == 403
    assert not ShareChange.objects.exists()
    assert not Pause.objects.exists()


def test_without_a_key_nothing_is_told() -> None:
    for path in ("shares/", "distribution/", "decisions/", "batches/", "share-changes/"):
        assert Client().get(f"{API}{path}").status_code == 401


def test_the_simulator_answers_and_writes_nothing(caller: Caller, pools: None) -> None:
    answer = post(caller(), "shares/simulate/", {"shares": EACH, "people": 1000})
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["people"], told["is_invented"], told["waiting"]) == (1000, True, 0)
    assert {line["name"]: line["proposed"] for line in told["lines"]} == dict.fromkeys(EVEN, 250)
    iad = told["lines"][0]
    assert iad["difference"] == iad["proposed"] - iad["today"] == 250 - 450
    assert not ShareChange.objects.exists()


def test_the_simulator_takes_the_last_day_and_refuses_what_cannot_be(
    caller: Caller, pools: None
) -> None:
    NbcRecordFactory.create_batch(5)
    assigning.run_round()
    client = caller()
    told = post(client, "shares/simulate/", {"shares": EACH}).json()
    assert (told["people"], told["is_invented"]) == (5, False)
    for wrong in (
        {"shares": {"good": EVEN}},
        {"shares": EACH, "people": 0},
        {"shares": EACH, "people": 10**9},
        {},
    ):
        assert post(client, "shares/simulate/", wrong).status_code == 400


def test_a_change_is_listed_and_gone_back_to(caller: Caller) -> None:
    before = shares.current()
    shares.put(EACH, "a trial")
    client = caller()
    newest, first = client.get(f"{API}share-changes/").json()["results"]
    assert (newest["reason"], first["shares"]) == ("a trial", before)
    path = f"share-changes/{first['id']}/revert/"
    late = {"reason": "it was worse", "last_change": first["id"]}
    assert post(client, path, late).status_code == 409
    answer = post(client, path, {**late, "last_change": newest["id"]})
    assert answer.status_code == 200, answer.content
    assert shares.current() == before


def test_decisions_and_batches_are_read(caller: Caller, pools: None) -> None:
    Generator.objects.filter(name="G_IAD").update(enabled=False)
    person, _other = NbcRecordFactory.create_batch(2)
    assigning.run_round()
    client = caller("viewer", "read")
    found = client.get(f"{API}decisions/", {"nbc__nbc_id": person.nbc_id}).json()["results"]
    (told,) = found
    assert (told["generator"], told["nbc_id"], told["replays"]) == (
        "G_MASTER",
        person.nbc_id,
        True,
    )
    assert told["choice"]["passed"] == [["G_IAD", "disabled"]]
    Decision.objects.filter(pk=told["id"]).update(choice={})
    assert client.get(f"{API}decisions/{told['id']}/").json()["replays"] is False
    (batch,) = client.get(f"{API}batches/", {"is_open": True}).json()["results"]
    assert (batch["id"], sum(batch["used"].values())) == (told["batch"], 2)
    assert batch["inputs"]["picked"]["G_SISEC"] == {"rate": None, "level": "normal", "share": 5}


def test_distribution_is_paused_and_resumed(caller: Caller, pools: None) -> None:
    client = caller()
    assert client.get(f"{API}distribution/").json()["paused"] is False
    told = post(client, "distribution/pause/", {"reason": "maintenance"}).json()
    assert (told["paused"], told["pause_reason"]) == (True, "maintenance")
    assert post(client, "distribution/resume/", {"reason": "done"}).json()["paused"] is False
    assert post(client, "distribution/resume/", {"reason": "done"}).status_code == 409
    standing = client.get(f"{API}distribution/").json()["generators"]
    assert [one["name"] for one in standing] == ["G_IAD", "G_MASTER", "G_IAD2", "G_SISEC"]
    assert standing[0]["devices"]["free"] == 3


@pytest.mark.parametrize("name", ["\\ud800", "\\u0000", "<b>", "G" * 5000])
def test_a_name_that_cannot_be_written_is_refused_like_any_other(caller: Caller, name: str) -> None:
    body = '{"shares": {"good": {"%s": 100}, "%s": {}}, "reason": "a test", "last_change": 0}'
    answer = put(caller(), body % (name, name))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in ("invalid", "parse_error")
