"""The brain over HTTP: configuration, verbs, comparisons, cycles."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django_q.models import OrmQ

from brain import origin as origin_module
from brain.models import Claim, ClientAuthorisation, Flow, Motivo, Organismo, Reconciliation
from orchestrator_site.models import ApiKey, Event, Pause
from queues.models import TramiteTask
from tests.factories import (
    STEPS,
    FlowFactory,
    MotivoFactory,
    OrganismoFactory,
    TramiteTaskFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
API = "/api/v1/"
Person = Callable[[str], User]
VALID = {
    "site_id": "madrid",
    "query_organisme": "%GESTION% %MADRID%",
    "filtro_texp": "2,3",
    "regex_expediente": r"^\d{3}/\d+$",
    "url_template": "https://sede.example/{expediente}?id={idRecurso}",
    "flow_name": "file_demo",
    "login_url": "https://intranet.example/login",
}
# What is wrong with each field, and a word of the answer.
WRONG = [
    ("site_id", "Madrid Centro", "letters"),
    ("site_id", "", "blank"),
    ("regex_expediente", "(", "missing )"),
    ("regex_expediente", r"(?=a)b", "lookahead"),
    ("regex_expediente", "a\0b", "Null"),
    ("url_template", "https://sede.example/{numero}", "{numero}"),
    ("url_template", "https://{expediente}.example/", "host"),
    ("url_template", "javascript:alert(1)", "http"),
    ("url_template", "https://user:secret@sede.example/", "password"),
    ("filtro_texp", "2;3", "2;3"),
    ("filtro_texp", "", "blank"),
    ("filtro_texp", "1,2", "claimed when"),
    ("query_organisme", "%", "everything"),
    ("query_organisme", "%[AB]%", "bracket"),
    ("claimed_when", "TExp=7", "TExp=7"),
    ("login_url", "ftp://intranet.example/", "http"),
    ("recursos_url", "no address", "space"),
    ("claim_method", "telepathy", "telepathy"),
    ("repair", "yes", "yes"),
    ("priority", "first", "integer"),
    ("priority", 10**30, "less"),
    ("target_queue_depth", -1, "greater"),
    ("active", "perhaps", "boolean"),
    ("attachments", {"name": "a.pdf"}, "list"),
    ("attachments", [{"name": "../a.pdf", "source": "folder", "path": "a"}], "Attachment 1"),
    ("attachments", [{"name": "a.pdf", "source": "web", "path": "a"}], "web"),
]


@pytest.fixture(autouse=True)
def nobody_has_asked_yet() -> None:
    """The throttle counts in a cache that outlives a test, by ids that come again."""
    cache.clear()


@pytest.fixture
def api(person: Person) -> Callable[..., Any]:
    """Ask the API with a key of an admin: (method, path, data) -> response."""
    keys: dict[str, str] = {}

    def ask(method: str, path: str, data: Any = None, *, role: str = "admin") -> Any:
        if role not in keys:
            row = ApiKey(name="script", user=person(role), scope="admin")
            keys[role] = row.issue()
            row.save()
        client = Client(headers={"Authorization": f"Bearer {keys[role]}"})
        if method == "get":
            return client.get(f"{API}{path}", data)
        send = getattr(client, method)
        return send(f"{API}{path}", data if data is not None else {}, "application/json")

    return ask


def fields(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 400, answer.content
    assert answer.json()["error"]["code"] == "invalid"
    return answer.json()["error"]["fields"]


# --- Organismos -----------------------------------------------------------------------------------


def test_an_organismo_is_made_and_changed(api: Any) -> None:
    made = api("post", "organismos/", VALID)
    assert made.status_code == 201, made.content
    row = Organismo.objects.get()
    assert row.patterns == ["%GESTION%", "%MADRID%"]
    changed = api("patch", f"organismos/{row.pk}/", {"active": True, "priority": 5})
    assert changed.status_code == 200, changed.content
    row.refresh_from_db()
    assert (row.active, row.priority, row.site_id) == (True, 5, "madrid")
    replaced = api("put", f"organismos/{row.pk}/", {**VALID, "notes": "whole"})
    assert replaced.status_code == 200, replaced.content
    row.refresh_from_db()
    assert row.notes == "whole"


def test_who_changed_an_organismo_is_kept_with_what_it_was(api: Any) -> None:
    pk = api("post", "organismos/", VALID).json()["id"]
    api("patch", f"organismos/{pk}/", {"query_organisme": "%OTHER%"})
    newest, oldest = Organismo.objects.get().history.all()
    assert (newest.query_organisme, oldest.query_organisme) == ("%OTHER%", "%GESTION% %MADRID%")
    assert {newest.history_user.username, oldest.history_user.username} == {"admin-person"}


@pytest.mark.once
@pytest.mark.parametrize(("name", "value", "word"), WRONG)
def test_a_field_that_is_wrong_is_named_with_the_reason(
    api: Any, name: str, value: Any, word: str
) -> None:
    told = fields(api("post", "organismos/", {**VALID, name: value}))
    assert list(told) == [name]
    assert word in " ".join(told[name])
    row = OrganismoFactory(site_id="madrid")
    told = fields(api("patch", f"organismos/{row.pk}/", {name: value}))
    assert list(told) == [name]


def test_every_wrong_field_is_named_at_once(api: Any) -> None:
    told = fields(
        api("post", "organismos/", {**VALID, "filtro_texp": "x", "regex_expediente": "["})
    )
    assert set(told) == {"filtro_texp", "regex_expediente"}


def test_a_site_is_there_once(api: Any) -> None:
    OrganismoFactory(site_id="madrid")
    other = OrganismoFactory(site_id="other")
    assert list(fields(api("post", "organismos/", VALID))) == ["site_id"]
    assert list(fields(api("patch", f"organismos/{other.pk}/", {"site_id": "madrid"}))) == [
        "site_id"
    ]


def test_what_the_brain_writes_on_an_organismo_is_not_taken(api: Any) -> None:
    row = OrganismoFactory()
    given = {"paused": True, "last_error": "x", "last_sync_at": "2026-01-01T00:00:00Z"}
    assert api("patch", f"organismos/{row.pk}/", given).status_code == 200
    row.refresh_from_db()
    assert (row.paused, row.last_error, row.last_sync_at) == (False, "", None)


def test_an_organismo_with_claims_is_not_deleted(api: Any) -> None:
    row = OrganismoFactory()
    Claim.objects.create(organismo=row, resource_id=1)
    answer = api("delete", f"organismos/{row.pk}/")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "conflict"
    Claim.objects.all().delete()
    assert api("delete", f"organismos/{row.pk}/").status_code == 204
    assert not Organismo.objects.exists()


def test_what_is_exported_can_be_imported_and_changes_nothing(api: Any) -> None:
    OrganismoFactory()
    OrganismoFactory(site_id="madrid", url_template=None)
    exported = api("get", "organismos/export/", role="viewer").json()
    report = api("post", "organismos/import/", exported).json()
    assert report["unchanged"] == ["madrid", "xaloc_girona"]
    assert (report["created"], report["updated"]) == ([], {})


def test_an_import_writes_all_of_it(api: Any) -> None:
    OrganismoFactory(site_id="madrid")
    given = {"configs": [VALID, {**VALID, "site_id": "sevilla"}]}
    report = api("post", "organismos/import/", given).json()
    assert (report["created"], list(report["updated"])) == (["sevilla"], ["madrid"])
    assert report["written"] is True
    assert Organismo.objects.get(site_id="madrid").query_organisme == "%GESTION% %MADRID%"


@pytest.mark.parametrize("word", ["true", "1", "True", "yes"])
def test_a_dry_run_of_an_import_writes_nothing(api: Any, word: str) -> None:
    report = api("post", f"organismos/import/?dry_run={word}", {"configs": [VALID]}).json()
    assert (report["created"], report["written"]) == (["madrid"], False)
    assert not Organismo.objects.exists()


def test_a_dry_run_misspelt_writes_nothing_either(api: Any) -> None:
    answer = api("post", "organismos/import/?dry_run=ture", {"configs": [VALID]})
    assert list(fields(answer)) == ["dry_run"]
    assert not Organismo.objects.exists()


def test_with_one_refused_an_import_writes_nothing(api: Any) -> None:
    given = {"configs": [VALID, {**VALID, "site_id": "sevilla", "regex_expediente": "("}]}
    for query in ("", "?dry_run=true"):
        (refusal,) = fields(api("post", f"organismos/import/{query}", given))["configs"]
        assert "sevilla" in refusal
        assert "regex_expediente" in refusal
    assert not Organismo.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        None,
        7,
        {"configs": [1]},
        {"configs": [{}]},
        {"configs": [VALID, VALID]},
        {"configs": [{**VALID, "colour": "red"}]},
        {"configs": [{**VALID, "notes": "\ud800"}]},
        {"configs": [{**VALID, "priority": 1e400}]},
        {"madrid": 1},
    ],
)
def test_an_import_of_another_shape_is_refused(api: Any, body: Any) -> None:
    text = json.dumps(body).replace("Infinity", "1e400")
    assert fields(api("post", "organismos/import/", text))["configs"]
    assert not Organismo.objects.exists()


def test_an_import_asks_for_the_right_to_change_too(api: Any, person: Person) -> None:
    api("get", "organismos/", role="admin")
    group = User.objects.get(username="admin-person").groups.get()
    group.permissions.remove(*group.permissions.filter(codename="change_organismo"))
    OrganismoFactory(site_id="madrid")
    assert api("post", "organismos/import/", {"configs": [VALID]}).status_code == 403


def test_a_preview_tells_what_a_cycle_would_take(
    api: Any, origin: Any, organismo: Organismo
) -> None:
    origin()
    origin(Expedient="LOQUESEA")
    origin(TExp=9)
    before = TramiteTask.objects.count(), Claim.objects.count(), Event.objects.count()
    told = api("get", f"organismos/{organismo.pk}/preview/", role="viewer").json()
    assert [step["kept"] for step in told["steps"]] == [3, 2, 2, 2, 1, 1]
    assert [case["idRecurso"] for case in told["kept"]] == [1]
    assert "LOQUESEA" in told["dropped"][0]["reason"]
    assert (told["next_cycle"], told["error"]) == (1, "")
    assert (TramiteTask.objects.count(), Claim.objects.count(), Event.objects.count()) == before


def test_a_preview_says_that_the_origin_cannot_be_reached(
    api: Any, organismo: Organismo, unreachable: None
) -> None:
    answer = api("get", f"organismos/{organismo.pk}/preview/")
    assert answer.status_code == 200
    assert answer.json()["error_kind"] == "OriginUnreachable"
    assert "no route" in answer.json()["error"]


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The origin does not answer."""

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise origin_module.OriginUnreachable("no route to host")

    for name in ("count", "columns", "read", "read_back", "release", "_page"):
        monkeypatch.setattr(origin_module, name, fails)


# --- Texts, papers, flows -------------------------------------------------------------------------


def test_a_motivo_is_there_once_a_phase(api: Any, motivos: None) -> None:
    organismo = OrganismoFactory()
    texts = {"asunto": "a", "expone": "e", "solicita": "s"}
    given = {"organismo": organismo.pk, "key": "denuncia", **texts}
    assert api("post", "motivos/", given).status_code == 201
    assert fields(api("post", "motivos/", given))
    assert fields(api("post", "motivos/", {**given, "organismo": None}))
    assert Motivo.objects.filter(key="denuncia").count() == 2


def test_an_authorisation_is_uploaded_as_a_pdf(api: Any, person: Person) -> None:
    row = ApiKey(name="papers", user=person("operator"), scope="admin")
    client = Client(headers={"Authorization": f"Bearer {row.issue()}"})
    row.save()
    paper = SimpleUploadedFile("a.pdf", b"%PDF-1.7", "application/pdf")
    made = client.post(f"{API}authorisations/", {"numclient": 501, "file": paper})
    assert made.status_code == 201, made.content
    assert ClientAuthorisation.objects.get().numclient == 501
    page = SimpleUploadedFile("a.html", b"<script>", "text/html")
    told = fields(client.post(f"{API}authorisations/", {"numclient": 501, "file": page}))
    assert list(told) == ["file"]


def test_an_authorisation_ends_after_it_begins(api: Any) -> None:
    row = ClientAuthorisation.objects.create(numclient=1, file="a.pdf", valid_from="2026-05-01")
    told = fields(api("patch", f"authorisations/{row.pk}/", {"valid_until": "2026-04-01"}))
    assert "authorisation_ends_after_it_begins" in told["non_field_errors"][0]
    answer = api("patch", f"authorisations/{row.pk}/", {"valid_until": "2026-05-01"})
    assert answer.status_code == 200, answer.content


def test_a_flow_is_added_as_its_next_version_by_its_author(api: Any) -> None:
    for version in (1, 2):
        made = api("post", "flows/", {"name": "file_demo", "steps": STEPS, "notes": "new page"})
        assert made.status_code == 201, made.content
        assert (made.json()["version"], made.json()["active"]) == (version, False)
    newest = Flow.objects.get(version=2)
    assert (newest.created_by, newest.notes) == ("admin-person", "new page")


@pytest.mark.parametrize(
    ("steps", "place"),
    [
        ([{"do": "fly"}], "step 1"),
        ([STEPS[0], {"do": "click"}], "step 2 (click)"),
        ([{"do": "navigate", "url": "file:///etc/passwd"}], "step 1 (navigate)"),
        ([], "at least one step"),
        ({}, "at least one step"),
        ("text", "at least one step"),
        (["x"], "step 1"),
    ],
)
def test_steps_that_cannot_run_are_refused_with_their_place(
    api: Any, steps: Any, place: str
) -> None:
    told = fields(api("post", "flows/", {"name": "file_demo", "steps": steps}))
    assert place in " ".join(told["steps"])
    assert not Flow.objects.exists()


def test_a_flow_without_steps_is_refused(api: Any) -> None:
    assert list(fields(api("post", "flows/", {"name": "file_demo"}))) == ["steps"]


def test_a_version_of_a_flow_never_changes(api: Any) -> None:
    pk = FlowFactory().pk
    for method in ("put", "patch", "delete"):
        answer = api(method, f"flows/{pk}/", {"name": "x", "steps": STEPS})
        assert answer.status_code == 405


def test_a_flow_is_activated_by_an_admin_alone(api: Any) -> None:
    first = FlowFactory()
    second = Flow.add_version(first.name, STEPS)
    path, reason = f"flows/{second.pk}/activate/", {"reason": "the page changed"}
    assert api("post", path, reason, role="operator").status_code == 403
    answer = api("post", path, reason)
    assert answer.status_code == 200, answer.content
    assert answer.json()["active"] is True
    assert api("post", path, reason).status_code == 409
    assert Flow.active_version(first.name) == second


# --- Verbs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "status", "then"),
    [
        ("authorise", "held", "pending"),
        ("reject", "held", "cancelled"),
        ("hold", "pending", "held"),
        ("cancel", "pending", "cancelled"),
        ("confirm-sent", "in_doubt", "completed_with_errors"),
        ("confirm-not-sent", "in_doubt", "pending"),
    ],
)
def test_an_operator_acts_on_an_appeal(api: Any, verb: str, status: str, then: str) -> None:
    task = TramiteTaskFactory(status=status)
    path, reason = f"tramites/{task.pk}/{verb}/", {"reason": "seen by a person"}
    assert api("post", path, reason, role="viewer").status_code == 403
    answer = api("post", f"{path}?status={status}", reason, role="operator")
    assert answer.status_code == 200, answer.content
    assert answer.json()["status"] == then
    event = Event.objects.get()
    assert (event.old, event.new, event.reason) == (status, then, "seen by a person")
    assert (event.actor_kind, event.actor) == ("api_key", "operator-person/script")
    again = api("post", path, reason, role="operator")
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "conflict"
    assert Event.objects.count() == 1


def test_a_verb_that_loses_the_race_is_a_conflict(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TramiteTaskFactory()
    really = TramiteTask.move

    def late(self: TramiteTask, *args: Any, **kwargs: Any) -> bool:
        TramiteTask.objects.filter(pk=self.pk).update(status="cancelled")
        return really(self, *args, **kwargs)

    monkeypatch.setattr(TramiteTask, "move", late)
    answer = api("post", f"tramites/{task.pk}/hold/", {"reason": "wait for it"})
    assert answer.status_code == 409
    assert not Event.objects.exists()


def test_a_refused_verb_is_a_conflict_that_says_why(api: Any) -> None:
    OrganismoFactory(flow_name="not_there")
    task = TramiteTaskFactory(status="failed")
    answer = api("post", f"tramites/{task.pk}/rerun/", {"reason": "once more"})
    assert answer.status_code == 409
    assert "not_there" in answer.json()["error"]["message"]


def test_secrets_and_scripts_of_a_task_are_not_shown(api: Any) -> None:
    task = TramiteTaskFactory()
    assert not {"lease_token", "script"} & set(api("get", f"tramites/{task.pk}/").json())


def test_a_claim_is_given_back(api: Any, origin: Any, organismo: Organismo) -> None:
    case = origin(TExp=1, UsuarioAsignado="BOT_MULTIVIA")
    claim = Claim.objects.create(
        organismo=organismo,
        resource_id=case.pk,
        status="proven",
        account="BOT_MULTIVIA",
        before={"TExp": 2, "Estado": 0, "UsuarioAsignado": None},
    )
    answer = api("post", f"claims/{claim.pk}/release/", {"reason": "not ours"}, role="operator")
    assert answer.status_code == 200, answer.content
    case.refresh_from_db()
    assert (case.TExp, case.UsuarioAsignado) == (2, None)
    assert (answer.json()["status"], answer.json()["site_id"]) == ("released", "xaloc_girona")


def test_a_claim_is_not_given_back_while_the_origin_is_silent(
    api: Any, organismo: Organismo, unreachable: None
) -> None:
    before = {"TExp": 2, "Estado": 0, "UsuarioAsignado": None}
    claim = Claim.objects.create(organismo=organismo, resource_id=1, status="proven", before=before)
    answer = api("post", f"claims/{claim.pk}/release/", {"reason": "not ours"})
    assert answer.status_code == 409
    assert "no route" in answer.json()["error"]["message"]
    claim.refresh_from_db()
    assert claim.status == "proven"


# --- The brain ------------------------------------------------------------------------------------


def test_the_brain_is_paused_and_resumed_with_reasons(api: Any) -> None:
    told = api("post", "brain/pause/", {"reason": "maintenance"}, role="operator").json()
    assert (told["paused"], told["pause_reason"]) == (True, "maintenance")
    assert api("get", "brain/", role="viewer").json()["paused"] is True
    told = api("post", "brain/resume/", {"reason": "all is well"}, role="operator").json()
    assert told["paused"] is False
    assert list(Event.objects.values_list("new", "reason").order_by("id")) == [
        ("paused", "maintenance"),
        ("running", "all is well"),
    ]
    again = api("post", "brain/resume/", {"reason": "all is well"}, role="operator")
    assert again.status_code == 409


def test_only_operators_switch_the_brain(api: Any) -> None:
    for path in ("brain/pause/", "brain/resume/", "cycles/run/", "reconciliations/run/"):
        assert api("post", path, {"reason": "maintenance"}, role="viewer").status_code == 403
    assert not Pause.objects.exists()


def test_a_cycle_is_asked_for_at_once(api: Any, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = api("post", "cycles/run/", role="operator")
    assert answer.status_code == 202
    assert OrmQ.objects.count() == 1


def test_an_organismo_is_visited_at_once_where_it_runs(
    api: Any, django_capture_on_commit_callbacks: Any
) -> None:
    row = OrganismoFactory()
    path, reason = f"organismos/{row.pk}/run-now/", {"reason": "a hurry"}
    with django_capture_on_commit_callbacks(execute=True):
        assert api("post", path, reason).status_code == 200
    assert OrmQ.objects.count() == 1
    api("post", f"organismos/{row.pk}/pause/", {"reason": "maintenance"})
    assert api("post", path, reason).status_code == 409


# --- Comparisons ----------------------------------------------------------------------------------


def test_the_ledger_is_compared_and_repaired(
    api: Any, origin: Any, organismo: Organismo, motivos: None
) -> None:
    case = origin(TExp=1, UsuarioAsignado="BOT_MULTIVIA")
    made = api("post", "reconciliations/run/", role="operator")
    assert made.status_code == 201
    assert [d["resource_id"] for d in made.json()["differences"]] == [case.pk]
    path, reason = f"reconciliations/{made.json()['id']}/repair/", {"reason": "ours"}
    assert api("post", path, reason, role="viewer").status_code == 403
    assert api("post", path, reason, role="operator").json()["repaired"] == [case.pk]
    assert TramiteTask.objects.get().resource_id == case.pk
    assert api("post", path, reason, role="operator").json()["repaired"] == []


def difference(site_id: str, pk: int) -> dict[str, Any]:
    return {
        "kind": "ours_there_not_here",
        "site_id": site_id,
        "resource_id": pk,
        "expediente": "",
        "claim_id": None,
        "shown": {},
    }


def test_what_cannot_be_repaired_is_told_and_stops_no_other(
    api: Any, origin: Any, organismo: Organismo, motivos: None
) -> None:
    OrganismoFactory(site_id="no_flow", query_organisme="%LEON%", flow_name="not_there")
    other = origin(TExp=1, UsuarioAsignado="BOT_MULTIVIA", Organisme="LEON")
    case = origin(TExp=1, UsuarioAsignado="BOT_MULTIVIA")
    listed = [difference("gone", 99), difference("no_flow", other.pk)]
    row = Reconciliation.objects.create(differences=[*listed, difference("xaloc_girona", case.pk)])
    answer = api("post", f"reconciliations/{row.pk}/repair/", {"reason": "ours"})
    assert answer.status_code == 200, answer.content
    assert answer.json()["repaired"] == [case.pk]
    assert set(answer.json()["errors"]) == {"99", str(other.pk)}
    assert "not_there" in answer.json()["errors"][str(other.pk)]


def test_a_silent_origin_ends_no_comparison_in_an_error(
    api: Any, organismo: Organismo, unreachable: None
) -> None:
    made = api("post", "reconciliations/run/")
    assert made.status_code == 201
    assert "no route" in made.json()["errors"]["xaloc_girona"]
    row = Reconciliation.objects.create(differences=[difference("xaloc_girona", 1)])
    answer = api("post", f"reconciliations/{row.pk}/repair/", {"reason": "ours"})
    assert "no route" in answer.json()["errors"]["1"]


def test_texts_of_the_migration_are_listed(api: Any, motivos: None) -> None:
    MotivoFactory(organismo=OrganismoFactory())
    keys = {row["key"] for row in api("get", "motivos/", role="viewer").json()["results"]}
    assert "denuncia" in keys
