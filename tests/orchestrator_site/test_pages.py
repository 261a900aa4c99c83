"""What every page has in common: errors, the icon, the language, history, how values are shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from brain.models import Claim, Cycle, Motivo, Organismo, Reconciliation
from orchestrator_site import cells
from orchestrator_site.dashboard import snapshot
from orchestrator_site.dashboard.worries import worries
from orchestrator_site.models import Alert, Lease
from queues.models import TramiteTask
from tests.factories import MotivoFactory, TramiteTaskFactory

pytestmark = pytest.mark.django_db
SignedIn = Callable[[str], Client]


def page(model: type[Any], name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


# --- What went wrong --------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "es"])
def test_an_address_that_leads_nowhere_is_told_to_people(client: Client, language: str) -> None:
    answer = client.get("/nothing", headers={"accept-language": language})
    assert answer.status_code == 404
    text = answer.content.decode()
    assert f'<html lang="{language}">' in text
    assert reverse("admin:index") in text
    assert "favicon.svg" in text


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_address_that_leads_nowhere_is_told_to_scripts(client: Client, method: str) -> None:
    answer = getattr(client, method)("/api/v1/nothing/")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert answer.json()["error"]["message"]


def test_the_api_still_leads_to_the_address_with_a_slash(client: Client) -> None:
    answer = client.get("/api/v1/claims")
    assert (answer.status_code, answer["Location"]) == (301, "/api/v1/claims/")


def test_a_defect_has_the_one_shape_in_the_api_and_a_page_elsewhere(
    signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: QuerySet[Any], *args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    client = signed_in("viewer")
    client.raise_request_exception = False
    monkeypatch.setattr(QuerySet, "order_by", breaks)
    api, admin = client.get("/api/v1/claims/"), client.get(page(Claim, "changelist"))
    assert (api.status_code, api.json()["error"]["code"]) == (500, "error")
    assert admin.status_code == 500
    assert "plain.css" in admin.content.decode()


def test_what_a_role_may_not_is_told_in_a_page(signed_in: SignedIn) -> None:
    answer = signed_in("viewer").get(page(Organismo, "add"))
    assert answer.status_code == 403
    assert "plain.css" in answer.content.decode()


def test_where_nobody_may_add_a_row_the_page_says_how_rows_come_in(
    signed_in: SignedIn, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client in (admin_client, signed_in("viewer")):
        answer = client.get(page(Claim, "add"))
        assert answer.status_code == 403
        text = answer.content.decode()
        assert "the machine writes them" in text and "plain.css" in text
        assert "Your role" not in text
    monkeypatch.setattr(admin.site._registry[Claim], "made_by", "By <b>import</b>.")
    assert "By &lt;b&gt;import" in admin_client.get(page(Claim, "add")).content.decode()
    assert admin_client.post(page(Claim, "add")).status_code == 403


@pytest.mark.parametrize(
    ("role", "model", "query"),
    [
        ("viewer", Organismo, ""),
        ("admin", Alert, ""),
        ("admin", Alert, "?status__exact=firing"),
    ],
)
def test_an_empty_list_offers_to_add_only_to_those_who_may(
    signed_in: SignedIn, role: str, model: type[Any], query: str
) -> None:
    text = signed_in(role).get(f"{page(model, 'changelist')}{query}").content.decode()
    assert "No results found" in text
    assert "Create a new item" not in text and page(model, "add") not in text
    assert ("Clear filters" in text) == bool(query)


def test_an_empty_list_of_what_people_enter_has_the_button(signed_in: SignedIn) -> None:
    text = signed_in("admin").get(page(Organismo, "changelist")).content.decode()
    assert "There is nothing in this list yet." in text and page(Organismo, "add") in text


def test_the_icon_is_where_browsers_look_for_it(client: Client) -> None:
    answer = client.get("/favicon.ico", follow=True)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/svg+xml"


def test_the_language_is_chosen_by_whoever_reads(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    client.post(reverse("set_language"), {"language": "es", "next": reverse("admin:index")})
    assert '<html lang="es"' in client.get(reverse("admin:index")).content.decode()


# --- Values -----------------------------------------------------------------------------------


def test_history_of_what_a_machine_writes_leads_to_its_events(signed_in: SignedIn) -> None:
    task = TramiteTaskFactory()
    task.cancel("filed by hand")
    client, history = signed_in("viewer"), page(TramiteTask, "history", task.pk)
    assert history in client.get(page(TramiteTask, "change", task.pk)).content.decode()
    events = client.get(history, follow=True).context["cl"].queryset
    assert [event.reason for event in events] == ["filed by hand"]


def test_a_row_without_events_has_no_history_button(signed_in: SignedIn) -> None:
    Lease.acquire("brain", "host:1", timedelta(seconds=5))
    row = Lease.objects.get()
    assert page(Lease, "history", row.pk) not in (
        signed_in("viewer").get(page(Lease, "change", row.pk)).content.decode()
    )


def test_read_only_json_keeps_its_letters(signed_in: SignedIn) -> None:
    task = TramiteTaskFactory(payload={"expediente": "1", "sujeto": "Ñandú Peña"})
    text = signed_in("viewer").get(page(TramiteTask, "change", task.pk)).content.decode()
    assert "Ñandú Peña" in text
    assert "\\u00" not in text


def test_json_is_shown_as_text_whatever_is_in_it() -> None:
    told = str(cells.readable_json({"a": "<b>ñ", "at": timezone.now()}, DjangoJSONEncoder))
    assert "&lt;b&gt;ñ" in told
    assert "<b>" not in told


def test_a_table_has_its_heads_beside_each_value_too() -> None:
    table = cells.plain_table(("a", "b"), [("1", "<2>")])
    assert '<td data-label="b">&lt;2&gt;</td>' in table
    assert cells.plain_table(("a",), []) == "-"


def test_rows_are_named_by_local_times_and_labels(organismo: Organismo) -> None:
    at = timezone.now().replace(year=2026, month=1, day=5, hour=23, minute=30, second=0)
    cycle = Cycle(started_at=at, outcome=Cycle.Outcome.WITH_ERRORS)
    compared = Reconciliation(at=at, differences=[{"kind": "taken_over"}])
    claim = Claim(organismo=organismo, resource_id=7, status=Claim.Status.LOST)
    assert str(cycle) == "2026-01-06 00:30:00 Done with errors"
    assert str(compared) == "2026-01-06 00:30 1 difference"
    assert str(claim) == "7 Lost to another"
    with translation.override("es"):
        assert str(cycle).startswith("2026-01-06 00:30:00 ")
        assert "errors" not in str(cycle)


def test_texts_of_one_line_have_an_input_of_one_line(
    signed_in: SignedIn, organismo: Organismo
) -> None:
    motivo = MotivoFactory()
    client = signed_in("admin")
    text = client.get(page(Organismo, "change", organismo.pk)).content.decode()
    for name in ("login_url", "recursos_url", "url_template"):
        assert re.search(rf'<input type="text" name="{name}"', text), name
    text = client.get(page(Motivo, "change", motivo.pk)).content.decode()
    assert re.search(r'<input type="text" name="asunto"', text)
    assert re.search(r'<textarea[^>]*name="expone"', text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "appeal waits for an authorisation"), (2, "appeals wait for an authorisation")],
)
def test_what_needs_a_person_is_counted_in_words(count: int, text: str) -> None:
    TramiteTaskFactory.create_batch(count, status=TramiteTask.Status.HELD)
    taken = snapshot.current().data
    assert worries(taken, frozenset()) == []
    (worry,) = worries(taken, frozenset({"queues.view_tramitetask"}))
    assert (worry["count"], worry["text"]) == (str(count), text)
    assert worry["url"].endswith("?status__exact=held")
