"""The control plane over the API: the walk of its guide, and what bad input gets."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.utils import timezone

from brain.models import ConnectedProvider, Flow
from orchestrator_site.models import Member, Organisation
from queues.models import Job
from tests.callers import (  # noqa: F401 (fixtures)
    API,
    Caller,
    caller,
    key_of,
    member,
    nobody_has_asked_yet,
    problem,
    stranger,
)
from tests.factories import (
    COOKIE,
    ConnectedProviderFactory,
    MemberFactory,
    OrganisationFlowFactory,
    ProviderFactory,
)

pytestmark = pytest.mark.django_db
PASSWORD = "SecurePass123!"
ANA = {
    "email": "Ana@empresa.example",
    "password": PASSWORD,
    "name": "Ana Inventada",
    "orgName": "Mi Empresa",
}
STEPS = [{"type": "navigate", "url": "http://127.0.0.1:8001/sede/"}, {"type": "screenshot"}]


@pytest.fixture(autouse=True)
def registration(settings: Any) -> None:
    settings.REGISTRATION_IS_OPEN = True


def new_flow(**values: Any) -> dict[str, Any]:
    return {"version": "1.0.0", "name": "Test Flow", "steps": STEPS, **values}


# --- The guide -----------------------------------------------------------------------------------


def test_the_guide_is_walked_from_registration_to_results(stranger: Caller) -> None:
    ProviderFactory(name="cargill")
    token = stranger.send("auth/register", ANA, 201)["token"]
    ana = Caller(token)
    (listed,) = stranger.read("providers")["results"]
    provider = listed["id"]
    flow = ana.send("flows", new_flow(providerId=provider, description="Prueba"), 201)
    script = Flow.objects.get().script
    assert flow["scriptHash"] == hashlib.sha256(script.encode()).hexdigest()
    assert flow["keyId"] and flow["signature"]
    assert ana.send(f"flows/{flow['flowId']}/activate")["active"]
    connected = ana.send(f"providers/{provider}/connect", {"cookies": [COOKIE]})
    assert connected["status"] == "active" and connected["expiresAt"]
    asked = {"providerId": provider, "metadata": {"test": True}}
    job = ana.send("run", asked, 202)
    assert job["status"] == "queued"
    status = ana.read(f"jobs/{job['jobId']}/status")
    assert (status["status"], status["position"], status["metadata"]) == (
        "queued",
        0,
        {"test": True},
    )
    results = ana.read(f"jobs/{job['jobId']}/results")
    assert (results["status"], results["results"], results["parsed"]) == ("queued", [], None)


@pytest.mark.parametrize("end", ["", "/"])
def test_addresses_end_with_a_slash_or_without(caller: Caller, end: str) -> None:
    for path in ("providers", "flows", "jobs", "connections", "keys", "organisation"):
        caller.read(f"{path}{end}")
    caller.send(f"run{end}", {}, 400)


def test_our_staff_keep_their_flows_under_their_own_names(person: Any) -> None:
    staff = Caller(key_of(person("admin")))
    made = staff.send("flows/", {"name": "ours", "steps": [{**STEPS[1], "do": "screenshot"}]}, 400)
    assert problem(made) == ("invalid", ["steps"])
    steps = [{"do": "navigate", "url": "https://example.com"}]
    made = staff.send("flows/", {"name": "ours", "steps": steps}, 201)
    assert (made["name"], made["version"], made["organisation"]) == ("ours", 1, None)
    OrganisationFlowFactory()
    assert len(staff.read("flows/")["results"]) == 2


# --- Providers and sessions ----------------------------------------------------------------------


def test_everybody_may_know_the_active_providers(stranger: Caller) -> None:
    shown = ProviderFactory(name="cargill")
    ProviderFactory(active=False)
    assert [one["name"] for one in stranger.read("providers")["results"]] == ["cargill"]
    for known_as in (shown.pk, "cargill"):
        assert stranger.read(f"providers/{known_as}")["id"] == str(shown.pk)
    for unknown in (999, "nobody", "9" * 40):
        stranger.read(f"providers/{unknown}", 404)
    stranger.send(f"providers/{shown.pk}/connect", {"cookies": [COOKIE]}, 401)


def test_a_session_is_lent_seen_by_its_end_and_taken_back(caller: Caller, member: Member) -> None:
    path = f"providers/{ProviderFactory().pk}/connect"
    caller.read(path, 404)
    lent = caller.send(path, {"cookies": [COOKIE]})
    told = [lent, caller.read(path), *caller.read("connections")["results"]]
    assert COOKIE["value"] not in json.dumps(told) and "session" not in lent
    caller.ask("DELETE", path, status=204)
    assert caller.read(path)["status"] == "disconnected"
    assert ConnectedProvider.objects.get().session == ""


def test_a_session_that_is_over_is_told_as_expired(caller: Caller, member: Member) -> None:
    ConnectedProviderFactory(member=member, expires_at=timezone.now())
    (row,) = caller.read("connections")["results"]
    assert row["status"] == "expired"


def test_connections_are_read_page_by_page(caller: Caller, member: Member) -> None:
    made = {str(ConnectedProviderFactory(member=member).pk) for _time in range(3)}
    first = caller.read("connections?page_size=2")
    second = caller.get(first["next"]).json()
    assert {row["id"] for row in [*first["results"], *second["results"]]} == made
    caller.read("connections?cursor=cD1hYmM=", 404)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"cookies": "x"},
        {"cookies": [{"name": "a"}]},
        {"cookies": [{**COOKIE, "domain": "elsewhere.example"}]},
        {"cookies": [COOKIE] * 301},
        {"cookies": [{**COOKIE, "value": "x" * 300_000}]},
        [],
    ],
)
def test_cookies_that_do_not_fit_are_refused(caller: Caller, body: Any) -> None:
    refused = caller.send(f"providers/{ProviderFactory().pk}/connect", body, 400)
    assert problem(refused) == ("invalid", ["cookies"])
    assert not ConnectedProvider.objects.exists()


def test_a_jar_of_ten_megabytes_is_refused_by_its_size(caller: Caller) -> None:
    jar = {"cookies": [{**COOKIE, "value": "x" * 10_000_000}]}
    refused = caller.send(f"providers/{ProviderFactory().pk}/connect", jar, 413)
    assert problem(refused) == ("too_large", [])


# --- Flows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"type": "fly"}, "step 2: unknown verb 'fly'"),
        ({"type": "fill", "selector": "#a"}, "step 2 (fill): value is required"),
        ({"type": "click", "selector": "#a", "script": "alert(1)"}, "'script' is not known here"),
        ({"type": "navigate", "url": "javascript:alert(1)"}, "step 2 (navigate): url must be"),
        ({"type": "navigate", "url": "http://169.254.169.254/"}, "step 2 (navigate)"),
        ({"do": "screenshot", "type": "navigate", "name": "a"}, "'type' is not known here"),
        ({}, "step 2: unknown verb None"),
        (7, "step 2: must be an object"),
    ],
)
def test_a_wrong_step_is_told_with_its_place(caller: Caller, step: Any, told: str) -> None:
    given = new_flow(providerId=str(ProviderFactory().pk), steps=[STEPS[0], step])
    refused = caller.send("flows", given, 400)
    assert told in refused["error"]["fields"]["steps"][0]
    assert not Flow.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"providerId": "nobody"}, "providerId"),
        ({"steps": []}, "steps"),
        ({"steps": "navigate"}, "steps"),
        ({"steps": [{"type": "fill", "selector": "#a", "value": "x" * 300_000}]}, "steps"),
        ({"steps": [{**STEPS[0], "message": "a\0b"}]}, "steps"),
        ({"inputs": {"a": {"type": "function"}}}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"hosts": ["169.254.169.254"]}, "hosts"),
        ({"hosts": "example.com"}, "hosts"),
        ({"version": "x" * 33}, "version"),
        ({"name": ""}, "name"),
    ],
)
def test_a_flow_that_does_not_fit_is_told_by_its_field(
    caller: Caller, values: dict[str, Any], field: str
) -> None:
    given = new_flow(**{"providerId": str(ProviderFactory().pk), **values})
    assert problem(caller.send("flows", given, 400)) == ("invalid", [field])


def test_all_mistakes_of_a_flow_are_told_in_one_answer(caller: Caller) -> None:
    provider = ProviderFactory()
    caller.send("flows", new_flow(providerId=provider.name), 201)
    steps = [{"type": "screenshot"}, {"type": "click"}]
    given = {**new_flow(providerId=provider.name), "steps": steps, "hosts": ["127.1"], "stpes": []}
    refused = caller.send("flows", {**given, "name": ""}, 400)
    wrong = refused["error"]["fields"]
    assert sorted(wrong) == ["hosts", "name", "steps", "stpes", "version"]
    assert len(wrong["steps"]) == 2
    assert Flow.objects.count() == 1


def test_a_version_is_never_written_twice(caller: Caller) -> None:
    given = new_flow(providerId=str(ProviderFactory().pk))
    caller.send("flows", given, 201)
    assert problem(caller.send("flows", given, 400)) == ("invalid", ["version"])
    second = caller.send("flows", {**given, "version": "1.0.1"}, 201)
    assert second["number"] == 2
    for method in ("PUT", "PATCH", "DELETE"):
        caller.ask(method, f"flows/{second['id']}", {}, 403)


def test_versions_are_compared_and_rolled_back(caller: Caller) -> None:
    given = new_flow(providerId=str(ProviderFactory().pk))
    first = caller.send("flows", given, 201)["id"]
    steps = [*STEPS, {"type": "screenshot"}]
    second = caller.send("flows", {**given, "version": "2", "steps": steps}, 201)["id"]
    caller.read(f"flows/{second}/differences", 404)  # nothing is active
    caller.send(f"flows/{first}/activate")
    for query in ("", f"?with={first}"):
        found = caller.read(f"flows/{second}/differences{query}")
        assert [one["sign"] for one in found] == ["=", "=", "+"]
        assert found[2]["step"] == {"do": "screenshot", "name": "screenshot-1"}
    caller.send(f"flows/{second}/activate", {"reason": "the new form"})
    caller.send(f"flows/{second}/rollback")
    assert Flow.objects.get(active=True).pk == first


def test_a_second_person_approves_where_the_organisation_wants_it(
    caller: Caller, member: Member
) -> None:
    Organisation.objects.update(needs_approval=True)
    eva = Caller(key_of(MemberFactory(organisation=member.organisation).user))
    given = new_flow(providerId=str(ProviderFactory().pk))
    flow = caller.send("flows", given, 201)
    assert flow["needsApproval"]
    caller.send(f"flows/{flow['id']}/activate", status=409)
    caller.send(f"flows/{flow['id']}/approve", status=409)  # its author
    assert eva.send(f"flows/{flow['id']}/approve")["approvedAt"]
    caller.send(f"flows/{flow['id']}/activate")


def test_a_slash_in_an_authors_address_makes_no_second_person(stranger: Caller) -> None:
    entered = stranger.send("auth/register", {**ANA, "email": "ana/2@empresa.example"}, 201)
    Organisation.objects.update(needs_approval=True)
    ana = Caller(entered["token"])
    flow = ana.send("flows", new_flow(providerId=str(ProviderFactory().pk)), 201)
    ana.send(f"flows/{flow['id']}/approve", status=409)


# --- Runs ----------------------------------------------------------------------------------------


@pytest.fixture
def provider(member: Member) -> Any:
    """With an active flow that takes an invoice's number."""
    made = ProviderFactory(needs_session=False)
    OrganisationFlowFactory(
        organisation=member.organisation,
        provider=made,
        inputs={"invoice": {"type": "string", "pattern": "[0-9]+", "default": "1"}},
    )
    return made


@pytest.mark.parametrize(
    ("path", "body", "field", "known"),
    [
        ("keys", {"name": "a", "scope": "all"}, "scope", "read, operate, admin"),
        ("webhooks", {"url": "https://203.0.113.9/", "events": ["x"]}, "events", "job.done"),
        ("organisation/members", {"email": "a@b.example", "role": "king"}, "role", "owner"),
    ],
)
def test_a_word_that_is_not_known_is_answered_with_those_that_are(
    caller: Caller, path: str, body: Any, field: str, known: str
) -> None:
    (text,) = caller.send(path, body, 400)["error"]["fields"][field]
    assert "is not a valid choice; known are" in text and known in text


def test_a_repeated_key_is_the_same_job(caller: Caller, provider: Any) -> None:
    asked = {"providerId": str(provider.pk), "payload": {"invoice": "7"}, "idempotencyKey": "k"}
    first = caller.send("run", asked, 202)
    assert caller.send("run", asked, 200)["jobId"] == first["jobId"]
    del asked["idempotencyKey"]
    body, headers = json.dumps(asked), {"Idempotency-Key": "k"}
    answer = caller.post(f"{API}run", body, "application/json", headers=headers)
    assert (answer.status_code, answer.json()["jobId"]) == (200, first["jobId"])
    refused = caller.send("run", {**asked, "idempotencyKey": "k", "payload": {}}, 422)
    assert problem(refused) == ("idempotency_key_reused", [])
    assert Job.objects.get().inputs == {"invoice": "7"}


@pytest.mark.parametrize(
    ("values", "code", "field"),
    [
        ({"providerId": "nobody"}, "invalid", "providerId"),
        ({"providerId": None}, "invalid", "providerId"),
        ({"inputs": {"invoice": "x"}}, "invalid_inputs", "invoice"),
        ({"inputs": {"other": "x"}}, "invalid_inputs", "other"),
        ({"inputs": []}, "invalid", "inputs"),
        ({"inputs": {"invoice": "a\0b"}}, "invalid", "inputs"),
        ({"inputs": {}, "payload": {}}, "invalid", "payload"),
        ({"metadata": 7}, "invalid", "metadata"),
        ({"priority": 10**6}, "invalid", "priority"),
        ({"deadline": "soon"}, "invalid", "deadline"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "invalid_inputs", "deadline"),
        ({"idempotencyKey": "k" * 201}, "invalid", "idempotencyKey"),
        ({"flowId": "x"}, "invalid", "flowId"),
    ],
)
def test_a_run_that_does_not_fit_is_told_by_its_field(
    caller: Caller, provider: Any, values: dict[str, Any], code: str, field: str
) -> None:
    refused = caller.send("run", {"providerId": str(provider.pk), **values}, 400)
    assert problem(refused) == (code, [field])
    assert not Job.objects.exists()


def test_a_run_is_refused_with_a_code(caller: Caller, member: Member) -> None:
    provider = ProviderFactory()
    asked = {"providerId": provider.name}
    refused = caller.send("run", asked, 409)
    assert refused["error"] == {"code": "not_connected", "message": "Session not found"}
    ConnectedProviderFactory(member=member, provider=provider)
    assert problem(caller.send("run", asked, 409))[0] == "no_active_flow"
    flow = OrganisationFlowFactory(organisation=member.organisation, provider=provider)
    Flow.objects.filter(pk=flow.pk).update(script="[]")
    assert problem(caller.send("run", asked, 409))[0] == "integrity"


def test_our_staff_run_nothing_themselves(person: Any, provider: Any) -> None:
    staff = Caller(key_of(person("admin")))
    staff.send("run", {"providerId": provider.name}, 403)
