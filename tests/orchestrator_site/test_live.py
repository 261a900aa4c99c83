"""Parts that renew themselves: who is known without a query, and who is not any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator_site.dashboard import live, snapshot
from tests.factories import TramiteTaskFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
URL = "/admin/live/overview/"


@pytest.fixture(autouse=True)
def _nobody_is_known(settings: Any) -> None:
    settings.OVERVIEW_SECONDS = 60
    live.DOOR.__init__()  # type: ignore[misc]
    snapshot.forget()


def test_who_asks_again_costs_no_query_and_no_rendering(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    first = client.get(URL)
    assert first.status_code == 200 and b'id="overview"' in first.content
    with CaptureQueriesContext(connection) as queries:
        again = client.get(URL)
        same = client.get(URL, headers={"if-none-match": first["ETag"]})
    assert len(queries) == 0
    assert again.content == first.content
    assert (same.status_code, same.content) == (304, b"")


def test_what_changes_has_another_tag(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    first = client.get(URL)
    TramiteTaskFactory(status="held")
    snapshot.forget()
    later = client.get(URL, headers={"if-none-match": first["ETag"]})
    assert later.status_code == 200 and later["ETag"] != first["ETag"]


def test_a_stranger_is_told_to_load_the_page(client: Client, django_user_model: Any) -> None:
    answer = client.get(URL)
    assert (answer.status_code, answer["HX-Refresh"]) == (401, "true")
    client.force_login(django_user_model.objects.create_user("member"))
    assert client.get(URL).status_code == 401
    assert client.post(URL).status_code == 405


def test_readers_of_other_rights_and_languages_see_other_things(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    client.get(URL)
    spanish = client.get(URL, headers={"accept-language": "es"}).content.decode()
    assert "Recursos" in spanish
    assert "Recursos" not in client.get(URL).content.decode()
    assert b'value="pause"' not in client.get(URL).content
    assert b'value="pause"' in signed_in("operator").get(URL).content


@pytest.mark.parametrize("how", ["role", "user", "session", "password", "role's right"])
def test_what_is_withdrawn_is_gone_at_the_next_look(
    how: str, signed_in: SignedIn, django_user_model: type[User]
) -> None:
    client = signed_in("operator")
    assert b'value="pause"' in client.get(URL).content
    user = django_user_model.objects.get()
    live.DOOR.check()
    with CaptureQueriesContext(connection) as queries:
        assert client.get(URL).status_code == 200
    assert len(queries) == 0
    if how == "role":
        user.groups.clear()
    elif how == "user":
        django_user_model.objects.update(is_active=False)
    elif how == "session":
        client.session.flush()
    elif how == "password":
        user.set_password("another")
        user.save()
    else:
        Group.objects.get(name="operator").permissions.filter(codename="operate_cycle").delete()
    with CaptureQueriesContext(connection) as queries:
        live.DOOR.check()
    assert len(queries) == 1
    answer = client.get(URL)
    assert answer.status_code == 401 or b'form="brain-switch"' not in answer.content


def test_a_reader_is_looked_at_once_a_minute(
    signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch, django_user_model: type[User]
) -> None:
    client = signed_in("viewer")
    client.get(URL)
    django_user_model.objects.update(is_active=False)
    assert client.get(URL).status_code == 200
    monkeypatch.setattr(live, "CHECKED", -1.0)
    assert client.get(URL).status_code == 401


def test_the_page_stands_without_javascript(signed_in: SignedIn) -> None:
    text = signed_in("viewer").get(reverse("admin:index")).content.decode()
    assert 'data-live="3"' in text and f'hx-get="{URL}"' in text
    assert "data-live-refresh" in text and "<time" in text
