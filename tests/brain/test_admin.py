"""What staff do in the admin: verbs with a reason, the preview, imports, flows, comparisons."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.test import Client
from django.urls import reverse

from brain import origin as origin_module
from brain.models import (
    Claim,
    ClientAuthorisation,
    Flow,
    Motivo,
    Organismo,
    Reconciliation,
    SigningKey,
)
from orchestrator_site.admin import VerbAdmin
from orchestrator_site.models import Event, Member
from queues.models import TramiteTask
from tests.factories import (
    STEPS,
    FlowFactory,
    MotivoFactory,
    OrganismoFactory,
    TramiteTaskFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
FREE = {"TExp": 2, "Estado": 0, "UsuarioAsignado": None}


def url(model: type[models.Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def told(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def sure(reason: str = "seen by a person") -> dict[str, str]:
    return {"confirmed": "1", "reason": reason}


def from_list(client: Client, name: str, rows: list[Any], **values: Any) -> Any:
    """A verb on several rows, from the list's actions."""
    data = {"action": name, "_selected_action": [row.pk for row in rows], "index": "0", **values}
    return client.post(url(type(rows[0]), "changelist"), data)


# --- One row --------------------------------------------------------------------------------------

TASK_MOVES = [
    ("authorise", "held", "pending"),
    ("reject", "held", "cancelled"),
    ("hold", "pending", "held"),
    ("cancel", "pending", "cancelled"),
    ("confirm_sent", "in_doubt", "completed_with_errors"),
    ("confirm_not_sent", "in_doubt", "pending"),
]


@pytest.mark.parametrize(("verb", "status", "then"), TASK_MOVES)
def test_an_operator_acts_on_one_appeal(
    signed_in: SignedIn, verb: str, status: str, then: str
) -> None:
    client, task = signed_in("operator"), TramiteTaskFactory(status=status)
    page = client.get(url(TramiteTask, "change", task.pk)).content.decode()
    assert f"../verb/{verb}/" in page
    asked = client.get(url(TramiteTask, "verb", task.pk, verb))
    assert asked.status_code == 200
    assert 'name="reason"' in asked.content.decode()
    assert str(task) in asked.content.decode()
    done = client.post(url(TramiteTask, "verb", task.pk, verb), sure())
    assert done["Location"] == url(TramiteTask, "change", task.pk)
    assert [text[:15] for text in told(done)] == ["Done for 1 row."]
    task.refresh_from_db()
    assert task.status == then
    event = Event.objects.get()
    assert (event.old, event.new, event.reason) == (status, then, "seen by a person")
    assert (event.actor_kind, event.actor) == ("user", "operator-person")


def rows_for_every_verb() -> list[tuple[Any, str]]:
    """A row that fits, for each verb that is not a plain move of an appeal."""
    organismo = OrganismoFactory(flow_name=FlowFactory().name)
    paused = OrganismoFactory(site_id="paused", query_organisme="%P%", paused=True)
    claim = Claim.objects.create(
        organismo=organismo, resource_id=77, status="proven", account="x", before=FREE
    )
    failed = TramiteTaskFactory(status="failed", resource_id=78)
    return [
        (organismo, "pause"),
        (paused, "resume"),
        (organismo, "run_now"),
        (claim, "release"),
        (failed, "rerun"),
    ]


def test_an_operator_does_every_other_verb_on_one_row(signed_in: SignedIn, origin: Any) -> None:
    client, pairs = signed_in("operator"), rows_for_every_verb()
    for row, verb in [*pairs[2:], *pairs[:2]]:  # a paused organismo is not run
        address = url(type(row), "verb", row.pk, verb)
        assert client.get(address).status_code == 200
        reason = f"{verb} it is"
        answer = client.post(address, sure(reason), follow=True)
        assert "Done for 1 row." in answer.content.decode(), verb
        (actor,) = set(Event.objects.filter(reason=reason).values_list("actor", flat=True))
        assert actor == "operator-person"


@pytest.mark.parametrize("reason", ["", "  ", "ab", " a  "])
def test_without_a_reason_nothing_is_done(signed_in: SignedIn, reason: str) -> None:
    client, task = signed_in("operator"), TramiteTaskFactory()
    answer = client.post(url(TramiteTask, "verb", task.pk, "cancel"), sure(reason))
    assert answer.status_code == 200
    assert "at least three letters" in answer.content.decode()
    task.refresh_from_db()
    assert task.status == "pending"
    assert not Event.objects.exists()


def test_a_reason_without_the_confirmation_does_nothing(signed_in: SignedIn) -> None:
    client, task = signed_in("operator"), TramiteTaskFactory()
    client.post(url(TramiteTask, "verb", task.pk, "cancel"), {"reason": "a mistake"})
    client.get(url(TramiteTask, "verb", task.pk, "cancel"), sure())
    task.refresh_from_db()
    assert task.status == "pending"


def test_a_verb_that_does_not_fit_any_more_is_told(signed_in: SignedIn) -> None:
    client, task = signed_in("operator"), TramiteTaskFactory(status="completed")
    answer = client.post(url(TramiteTask, "verb", task.pk, "cancel"), sure())
    assert "left alone" in told(answer)[0]
    assert not Event.objects.exists()


def test_a_row_or_verb_that_is_not_there_is_not_found(signed_in: SignedIn) -> None:
    client, task = signed_in("operator"), TramiteTaskFactory()
    assert client.get(url(TramiteTask, "verb", task.pk, "fly")).status_code == 404
    assert client.get(url(TramiteTask, "verb", 999, "cancel")).status_code == 404
    assert client.get(url(TramiteTask, "verb", "abc", "cancel")).status_code == 404


def test_only_verbs_that_fit_have_a_button(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    for status in TramiteTask.Status:
        lease = {"lease_token": "5c0f7a53-6c53-5d3c-9b34-0e6f2a1c7d10"}
        task = TramiteTaskFactory(status=status, **lease)
        page = client.get(url(TramiteTask, "change", task.pk)).content.decode()
        model_admin: Any = admin.site._registry[TramiteTask]
        for verb in model_admin.verbs:
            assert (f"../verb/{verb.name}/" in page) == verb.fits(task), (status, verb.name)


def test_a_post_without_its_token_is_refused(person: Callable[[str], User]) -> None:
    client, task = Client(enforce_csrf_checks=True), TramiteTaskFactory()
    client.force_login(person("operator"))
    answer = client.post(url(TramiteTask, "verb", task.pk, "cancel"), sure())
    assert answer.status_code == 403
    task.refresh_from_db()
    assert task.status == "pending"


# --- Several rows ---------------------------------------------------------------------------------


def test_several_rows_are_asked_for_once_and_counted(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    rows = [*TramiteTaskFactory.create_batch(3), TramiteTaskFactory(status="completed")]
    asked = from_list(client, "cancel", rows)
    assert asked.status_code == 200
    page = asked.content.decode()
    assert "4 rows" in page
    assert "3 of 4 are in a state for it" in page
    assert all(f'name="_selected_action" value="{row.pk}"' in page for row in rows)
    assert not Event.objects.exists()
    done = from_list(client, "cancel", rows, **sure())
    assert done.status_code == 302
    first, second = told(done)
    assert first.startswith("Done for 3 rows.")
    assert second.startswith("1 row was left alone")
    of_rows = Event.objects.filter(object_type="queues.tramitetask")
    assert set(of_rows.values_list("reason", "actor")) == {("seen by a person", "operator-person")}


def test_all_rows_of_the_list_may_be_chosen_within_its_filter(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    rows = TramiteTaskFactory.create_batch(60)
    other = TramiteTaskFactory(site_id="madrid")
    address = f"{url(TramiteTask, 'changelist')}?site_id__exact=xaloc_girona"
    data = {"action": "cancel", "_selected_action": [rows[0].pk], "index": "0"}
    data["select_across"] = "1"
    page = client.post(address, data).content.decode()
    assert "60 rows" in page
    assert 'name="select_across" value="1"' in page
    done = client.post(address, {**data, **sure()})
    assert [text[:17] for text in told(done)] == ["Done for 60 rows."]
    other.refresh_from_db()
    assert other.status == "pending"


def test_a_lost_race_among_several_breaks_nothing(
    signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = TramiteTaskFactory.create_batch(3)
    really = TramiteTask.move

    def late(self: TramiteTask, *args: Any, **kwargs: Any) -> bool:
        if self.pk == rows[1].pk:
            TramiteTask.objects.filter(pk=self.pk).update(status="held")
        return really(self, *args, **kwargs)

    monkeypatch.setattr(TramiteTask, "move", late)
    done = from_list(signed_in("operator"), "cancel", rows, **sure())
    assert told(done)[0].startswith("Done for 2 rows.")
    assert told(done)[1].startswith("1 row was left alone")


def test_what_is_refused_is_told_with_the_reason_and_counted(signed_in: SignedIn) -> None:
    OrganismoFactory(flow_name="not_there")
    rows = TramiteTaskFactory.create_batch(5, status="failed")
    messages = told(from_list(signed_in("operator"), "rerun", rows, **sure()))
    assert len(messages) == 4
    assert "not_there" in messages[0]
    assert messages[-1] == "2 more were refused."


def test_a_silent_origin_refuses_and_changes_nothing(
    signed_in: SignedIn, organismo: Organismo, unreachable: None
) -> None:
    claims = [
        Claim.objects.create(organismo=organismo, resource_id=n, status="proven", before=FREE)
        for n in (1, 2)
    ]
    messages = told(from_list(signed_in("operator"), "release", claims, **sure()))
    assert len(messages) == 2
    assert all("no route" in message for message in messages)
    assert not Claim.objects.exclude(status="proven").exists()


def test_every_verb_is_in_the_list_s_actions_of_an_operator(signed_in: SignedIn, rf: Any) -> None:
    signed_in("operator")
    request = rf.get("/")
    request.user = User.objects.get(username="operator-person")
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, VerbAdmin) and model not in (Flow, Member, SigningKey):
            names = {verb.name for verb in model_admin.verbs}
            assert names <= set(model_admin.get_actions(request)), model


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The origin does not answer."""

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise origin_module.OriginUnreachable("no route to host")

    for name in ("count", "columns", "read", "read_back", "release", "_page"):
        monkeypatch.setattr(origin_module, name, fails)


# --- Organismos -----------------------------------------------------------------------------------


def form_of(client: Client, address: str) -> dict[str, Any]:
    """The form as a browser would send it back."""
    form = client.get(address).context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    values["attachments"] = json.dumps(form.initial.get("attachments") or [])
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def test_an_organismo_is_made_in_the_admin(signed_in: SignedIn, flow: Flow) -> None:
    client = signed_in("admin")
    given = form_of(client, url(Organismo, "add"))
    given |= {
        "site_id": "madrid",
        "query_organisme": "%MADRID%",
        "regex_expediente": r"^\d+$",
        "flow_name": flow.name,
    }
    answer = client.post(url(Organismo, "add"), given)
    assert answer.status_code == 302, answer.context["errors"]
    assert Organismo.objects.get().flow_name == flow.name


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("regex_expediente", "(", "missing )"),
        ("url_template", "https://sede.example/{numero}", "placeholder"),
        ("filtro_texp", "2;3", "2;3"),
        ("query_organisme", "%", "everything"),
        ("login_url", "javascript:x", "http"),
        ("attachments", '[{"name": "a"}]', "Attachment 1"),
        ("attachments", "[", "JSON"),
        ("flow_name", "not_there", "not_there"),
    ],
)
def test_a_field_that_is_wrong_is_told_beside_it(
    signed_in: SignedIn, organismo: Organismo, name: str, value: str, word: str
) -> None:
    client, address = signed_in("admin"), url(Organismo, "change", organismo.pk)
    answer = client.post(address, {**form_of(client, address), name: value})
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert list(errors) == [name]
    assert word in errors[name][0]


def test_a_flow_that_is_not_made_yet_survives_another_change(signed_in: SignedIn) -> None:
    client, row = signed_in("admin"), OrganismoFactory(flow_name="still_to_come")
    address = url(Organismo, "change", row.pk)
    answer = client.post(address, {**form_of(client, address), "notes": "checked"})
    assert answer.status_code == 302, answer.context["errors"]
    row.refresh_from_db()
    assert (row.flow_name, row.notes) == ("still_to_come", "checked")


def test_an_organismo_s_history_is_kept_and_shown(
    signed_in: SignedIn, organismo: Organismo
) -> None:
    client, address = signed_in("admin"), url(Organismo, "change", organismo.pk)
    client.post(address, {**form_of(client, address), "query_organisme": "%OTHER%"})
    newest, oldest = organismo.history.all()
    assert (oldest.query_organisme, newest.query_organisme) == ("%XALOC%", "%OTHER%")
    assert newest.history_user.username == "admin-person"
    page = client.get(url(Organismo, "history", organismo.pk))
    assert page.status_code == 200
    assert "admin-person" in page.content.decode()
    old = reverse("admin:brain_organismo_simple_history", args=[organismo.pk, oldest.history_id])
    assert client.get(old).status_code == 200


def test_a_motivo_s_history_is_kept(signed_in: SignedIn) -> None:
    client, row = signed_in("admin"), MotivoFactory(organismo=OrganismoFactory())
    address = url(Motivo, "change", row.pk)
    given = {"organismo": row.organismo_id, "key": row.key, "position": 0}
    texts = {"asunto": "new", "expone": row.expone, "solicita": row.solicita}
    assert client.post(address, {**given, **texts}).status_code == 302
    assert [one.asunto for one in row.history.all()] == ["new", "Recurso {expediente}"]
    assert client.get(url(Motivo, "history", row.pk)).status_code == 200


def test_an_organismo_with_claims_is_not_deleted(signed_in: SignedIn, organismo: Organismo) -> None:
    Claim.objects.create(organismo=organismo, resource_id=1)
    client = signed_in("admin")
    assert client.get(url(Organismo, "delete", organismo.pk)).status_code == 200
    client.post(url(Organismo, "delete", organismo.pk), {"post": "yes"})
    assert Organismo.objects.exists()


# --- Preview --------------------------------------------------------------------------------------


def test_the_preview_shows_what_a_cycle_would_take_and_why_not(
    signed_in: SignedIn, origin: Any, organismo: Organismo
) -> None:
    origin()
    origin(Expedient="LOQUESEA")
    answer = signed_in("viewer").get(reverse("admin:organismo_preview", args=[organismo.pk]))
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "1 cases would be claimed, 1 of them in the next cycle." in page
    assert "2026/000001-MUL" in page
    assert "LOQUESEA" in page
    assert not Claim.objects.exists()


def test_the_preview_says_that_the_origin_cannot_be_reached(
    signed_in: SignedIn, organismo: Organismo, unreachable: None
) -> None:
    answer = signed_in("viewer").get(reverse("admin:organismo_preview", args=[organismo.pk]))
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "The origin cannot be reached:" in page
    assert "no route to host" in page


def test_the_preview_tells_a_refusal_from_a_silence(
    signed_in: SignedIn, organismo: Organismo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*args: Any) -> int:
        raise origin_module.OriginRefused("Login failed")

    monkeypatch.setattr(origin_module, "count", refuses)
    answer = signed_in("viewer").get(reverse("admin:organismo_preview", args=[organismo.pk]))
    assert "The origin refuses us: Login failed" in " ".join(answer.content.decode().split())


def test_a_preview_of_a_rule_that_is_broken_says_so(
    signed_in: SignedIn, origin: Any, organismo: Organismo
) -> None:
    Organismo.objects.update(regex_expediente="(")
    origin()
    answer = signed_in("viewer").get(reverse("admin:organismo_preview", args=[organismo.pk]))
    assert answer.status_code == 200
    assert "missing )" in answer.content.decode()


def test_a_preview_is_for_those_who_may_see_the_organismo(
    client: Client, organismo: Organismo
) -> None:
    address = reverse("admin:organismo_preview", args=[organismo.pk])
    assert client.get(address).status_code == 302
    client.force_login(User.objects.create_user("new", password="x", is_staff=True))
    assert client.get(address).status_code == 403
    assert client.get(reverse("admin:brain_organismo_export")).status_code == 403
    assert client.get(reverse("admin:brain_organismo_import")).status_code == 403


# --- Import and export ----------------------------------------------------------------------------

CONFIG = {"site_id": "madrid", "query_organisme": "%MADRID%", "regex_expediente": r"^\d+$"}
IMPORT = "admin:brain_organismo_import"


def upload(client: Client, data: Any) -> Any:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    file = SimpleUploadedFile("organismo_config.json", text.encode())
    return client.post(reverse(IMPORT), {"file": file})


def test_an_import_is_shown_before_it_is_written(signed_in: SignedIn) -> None:
    client = signed_in("admin")
    OrganismoFactory(site_id="sevilla", notes="old")
    assert client.get(reverse(IMPORT)).status_code == 200
    data = {"configs": [{**CONFIG, "notes": 'Ñ "<b>"'}, {"site_id": "sevilla", "notes": "new"}]}
    shown = upload(client, data)
    page = shown.content.decode()
    assert "What would change" in page
    assert "old → new" in page
    assert not Organismo.objects.filter(site_id="madrid").exists()
    done = client.post(reverse(IMPORT), {"text": shown.context["text"], "confirmed": "1"})
    assert done["Location"] == url(Organismo, "changelist")
    assert told(done) == ["2 organismos written."]
    assert Organismo.objects.get(site_id="madrid").notes == 'Ñ "<b>"'


def test_an_import_with_one_refused_offers_no_writing(signed_in: SignedIn) -> None:
    client = signed_in("admin")
    data = {"configs": [CONFIG, {**CONFIG, "site_id": "sevilla", "filtro_texp": "x"}]}
    shown = upload(client, data)
    page = shown.content.decode()
    assert "Refused" in page
    assert "sevilla" in page
    assert 'name="confirmed"' not in page
    client.post(reverse(IMPORT), {"text": shown.context["text"], "confirmed": "1"})
    assert not Organismo.objects.exists()


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"configs": [1]}', "\0", "Ñ"])
def test_a_file_that_is_no_configuration_is_told_as_such(signed_in: SignedIn, text: str) -> None:
    answer = upload(signed_in("admin"), text)
    assert answer.status_code == 200
    assert answer.context["problem"]
    assert answer.context["problem"][:10] in answer.content.decode()


def test_an_import_without_a_file_asks_for_one(signed_in: SignedIn) -> None:
    answer = signed_in("admin").post(reverse(IMPORT))
    assert answer.status_code == 200
    assert answer.context["form"].errors["file"]


def test_what_is_exported_is_imported_unchanged(signed_in: SignedIn) -> None:
    OrganismoFactory(notes="Ñandú")
    client = signed_in("admin")
    exported = client.get(reverse("admin:brain_organismo_export"))
    assert "attachment" in exported["Content-Disposition"]
    report = upload(client, exported.content.decode()).context["report"]
    assert report.unchanged == ["xaloc_girona"]


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_admins_import(signed_in: SignedIn, role: str) -> None:
    client = signed_in(role)
    assert reverse(IMPORT) not in client.get(url(Organismo, "changelist")).content.decode()
    assert client.get(reverse(IMPORT)).status_code == 403
    asked = {"text": json.dumps({"configs": [CONFIG]}), "confirmed": "1"}
    assert client.post(reverse(IMPORT), asked).status_code == 403
    assert client.get(reverse("admin:brain_organismo_export")).status_code == 200
    assert not Organismo.objects.exists()


# --- Authorisations and flows ---------------------------------------------------------------------


def test_an_operator_enters_a_client_s_authorisation(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    paper = SimpleUploadedFile("a.pdf", b"%PDF-1.7", "application/pdf")
    given = {"numclient": 501, "file": paper, "valid_from": "2026-05-01"}
    assert client.post(url(ClientAuthorisation, "add"), given).status_code == 302
    assert ClientAuthorisation.objects.get().numclient == 501
    assert client.post(url(Organismo, "add"), {}).status_code == 403


def test_a_flow_saved_in_the_admin_is_its_next_version(signed_in: SignedIn) -> None:
    client, first = signed_in("admin"), FlowFactory()
    copied = client.get(url(Flow, "add"), {"from": first.pk}).context["adminform"].form
    assert copied.initial["steps"] == STEPS
    given = {"name": first.name, "steps": json.dumps(STEPS[:1]), "notes": "shorter"}
    assert client.post(url(Flow, "add"), given).status_code == 302
    second = Flow.objects.get(version=2)
    assert (second.created_by, second.notes, second.active) == ("admin-person", "shorter", False)
    assert client.post(url(Flow, "change", first.pk), given).status_code == 403
    assert Flow.active_version(first.name) == first


@pytest.mark.parametrize("source", ["abc", "0", "999", "-1", "9" * 40])
def test_a_flow_copied_from_nowhere_is_empty(signed_in: SignedIn, source: str) -> None:
    assert signed_in("admin").get(url(Flow, "add"), {"from": source}).status_code == 200


def test_steps_that_cannot_run_are_refused_once_with_their_place(signed_in: SignedIn) -> None:
    given = {"name": "file_demo", "steps": json.dumps([STEPS[0], {"do": "click"}])}
    answer = signed_in("admin").post(url(Flow, "add"), given)
    errors = answer.context["adminform"].form.errors
    assert list(errors) == ["steps"]
    assert all(message.startswith("step 2 (click)") for message in errors["steps"])
    assert not Flow.objects.exists()


def test_a_flow_is_activated_by_an_admin_alone(
    client: Client, person: Callable[[str], User]
) -> None:
    first = FlowFactory()
    second = Flow.add_version(first.name, STEPS)
    address = url(Flow, "verb", second.pk, "activate")
    client.force_login(person("operator"))
    assert client.post(address, sure()).status_code == 403
    client.force_login(person("admin"))
    assert told(client.post(address, sure())) == ["Done for 1 row."]
    assert Flow.active_version(first.name) == second


# --- Comparisons ----------------------------------------------------------------------------------


def test_the_ledger_is_compared_and_repaired_with_a_reason(
    signed_in: SignedIn, origin: Any, organismo: Organismo, motivos: None
) -> None:
    case = origin(TExp=1, UsuarioAsignado="BOT_MULTIVIA")
    client = signed_in("operator")
    compared = client.get(reverse("admin:brain_reconciliation_compare_now"))
    row = Reconciliation.objects.get()
    assert compared["Location"] == url(Reconciliation, "change", row.pk)
    address = url(Reconciliation, "verb", row.pk, "repair_all")
    assert "verb/repair_all" in client.get(compared["Location"]).content.decode()
    assert client.get(address).status_code == 200
    assert not TramiteTask.objects.exists(), "a look repairs nothing"
    assert told(client.post(address, sure())) == ["Done for 1 row."]
    assert TramiteTask.objects.get().resource_id == case.pk


def test_what_cannot_be_repaired_is_told(
    signed_in: SignedIn, organismo: Organismo, unreachable: None
) -> None:
    difference = {
        "kind": "ours_there_not_here",
        "site_id": organismo.site_id,
        "resource_id": 7,
        "expediente": "",
        "claim_id": None,
        "shown": {},
    }
    row = Reconciliation.objects.create(differences=[difference])
    address = url(Reconciliation, "verb", row.pk, "repair_all")
    (message,) = told(signed_in("operator").post(address, sure()))
    assert "7: no route to host" in message


def test_a_viewer_neither_compares_nor_repairs(signed_in: SignedIn) -> None:
    client, row = signed_in("viewer"), Reconciliation.objects.create()
    assert client.get(reverse("admin:brain_reconciliation_compare_now")).status_code == 403
    address = url(Reconciliation, "verb", row.pk, "repair_all")
    assert client.post(address, sure()).status_code == 403
    assert Reconciliation.objects.count() == 1
