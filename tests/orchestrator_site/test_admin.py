"""The admin as each role sees it, page by page, and what it keeps to itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db import models
from django.http import QueryDict
from django.test import Client, RequestFactory
from django.urls import reverse

from brain.models import (
    Flow,
)
from orchestrator_site import roles
from orchestrator_site.admin import ReadOnlyAdmin, SuperuserAdmin, VerbAdmin
from orchestrator_site.models import ApiKey, Event, Pause
from queues.doorbell import Q_MODELS
from queues.models import (
    TramiteTask,
)
from tests.every_row import every_row as every_row
from tests.factories import (
    TramiteTaskFactory,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
ROLES = [pytest.param(role, marks=pytest.mark.once) for role in ("viewer", "operator", "admin")]
SignedIn = Callable[[str], Client]
Person = Callable[[str], User]
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


def url(model: type[models.Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def by_label(model: type[models.Model]) -> str:
    return model._meta.label


def visible_to(model: type[models.Model], user: User) -> bool:
    request = RequestFactory().get("/")
    request.user = user
    return admin.site._registry[model].has_view_permission(request)


# --- Every page -----------------------------------------------------------------------------------


@pytest.fixture
def user(request: pytest.FixtureRequest, db: None, person: Person) -> User:
    if request.param == "superuser":
        return User.objects.create_superuser("root", password="x")
    return person(request.param)


@pytest.mark.long
@pytest.mark.parametrize("user", [*ROLES, "superuser"], indirect=True)
def test_every_page_that_a_role_may_see_opens_and_no_other(
    every_row: None, client: Client, user: User
) -> None:
    """And what came from outside is text on each of them; a viewer's have no button."""
    client.force_login(user)
    for model in MODELS:
        listed = client.get(url(model, "changelist"))
        # Each row once; of what differs by role, one of each table tells.
        all_rows = model._default_manager.all()
        looked_at = all_rows if user.is_superuser else all_rows[:1]
        pages = [client.get(url(model, "change", row.pk)) for row in looked_at]
        assert pages, f"no row of {model}"
        expected = 200 if visible_to(model, user) else 403
        assert listed.status_code == expected, model
        assert {page.status_code for page in pages} == {expected}, model
        for page in (listed, *pages):
            assert "<script>alert" not in page.content.decode(), page.request["PATH_INFO"]
        if user.username == "viewer-person" and _has_verbs(model):
            for page in pages:
                assert not re.search(r'/verb/|name="_save"', page.content.decode())
        added = client.get(url(model, "add")).status_code
        model_admin = admin.site._registry[model]
        request = RequestFactory().get("/")
        request.user = user
        assert added == (200 if model_admin.has_add_permission(request) else 403), model


def _has_verbs(model: type[models.Model]) -> bool:
    return isinstance(admin.site._registry[model], VerbAdmin)


@pytest.mark.once
@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_a_role_sees_what_it_is_for(every_row: None, person: Person, role: str) -> None:
    user = person(role)
    seen = {model._meta.label for model in MODELS if visible_to(model, user)}
    ours = {m._meta.label for m in MODELS if m._meta.app_label in roles.OURS}
    people = {"auth.User", "auth.Group", "orchestrator_site.ApiKey"}
    admins = {*people, "orchestrator_site.AuditEntry"}
    assert seen == (ours | people if role == "admin" else ours - admins)


def test_only_superusers_see_the_tables_that_hold_code_to_run(
    every_row: None, person: Person
) -> None:
    user = person("admin")
    user.user_permissions.set(Permission.objects.all())
    for model in Q_MODELS:
        assert isinstance(admin.site._registry[model], SuperuserAdmin)
        assert not visible_to(model, user)


@pytest.mark.once
def test_staff_without_a_role_may_open_no_list(every_row: None, client: Client) -> None:
    client.force_login(User.objects.create_user("new", password="x", is_staff=True))
    assert {client.get(url(model, "changelist")).status_code for model in MODELS} == {403}


@pytest.mark.once
def test_who_is_not_staff_is_sent_to_the_login(every_row: None, client: Client) -> None:
    for someone in (None, User.objects.create_user("outside", password="x")):
        if someone:
            client.force_login(someone)
        for model in MODELS:
            answer = client.get(url(model, "changelist"))
            assert answer.status_code == 302
            assert answer["Location"].startswith(reverse("admin:login"))


@pytest.mark.long
@pytest.mark.parametrize(
    "text",
    ["2026/000001-MUL", "7", "Ñandú '\"%_", "0f1e7063-a599-4286-9b76-7762193752e3", "9" * 40],
)
def test_every_list_can_be_searched_for_any_text(
    every_row: None, admin_client: Client, text: str
) -> None:
    for model in MODELS:
        if admin.site._registry[model].search_fields:
            assert admin_client.get(url(model, "changelist"), {"q": text}).status_code == 200, model


@pytest.mark.parametrize("text", ["000003-MUL", "2026/000003-MUL", "3"])
def test_an_appeal_is_found_by_its_numbers(signed_in: SignedIn, text: str) -> None:
    wanted = TramiteTaskFactory(resource_id=3)
    TramiteTaskFactory(resource_id=4)
    answer = signed_in("viewer").get(url(TramiteTask, "changelist"), {"q": text})
    assert list(answer.context["cl"].queryset) == [wanted]


def test_an_appeal_is_found_by_its_case(signed_in: SignedIn) -> None:
    wanted = TramiteTaskFactory()
    TramiteTaskFactory()
    answer = signed_in("viewer").get(url(TramiteTask, "changelist"), {"q": str(wanted.case_id)})
    assert list(answer.context["cl"].queryset) == [wanted]


@pytest.mark.long
def test_every_filter_of_every_list_opens(every_row: None, admin_client: Client) -> None:
    """Each choice by itself finds its rows; one page of the list has each filter in use."""
    for model in MODELS:
        page = admin_client.get(url(model, "changelist"))
        # A model of one row has a page in place of its list.
        changelist = page.context.get("cl")
        together: dict[str, list[str]] = {}
        for spec in changelist.filter_specs if changelist else ():
            for choice in itertools.islice(spec.choices(changelist), 4):
                chosen = QueryDict(choice.get("query_string", "").removeprefix("?"))
                if chosen:
                    found(model, chosen, page.wsgi_request.user)
                    together |= dict(chosen.lists())
        if together:
            query = urlencode(together, doseq=True)
            answer = admin_client.get(f"{url(model, 'changelist')}?{query}")
            assert answer.status_code == 200, f"{model} {query}"


def found(model: type[models.Model], query: QueryDict, user: User) -> list[models.Model]:
    """The rows of a page of the list, and its filters' choices. Raises where it would not open."""
    request = RequestFactory().get(url(model, "changelist"), query)
    request.user = user
    changelist = admin.site._registry[model].get_changelist_instance(request)
    assert all(list(spec.choices(changelist)) for spec in changelist.filter_specs)
    return list(changelist.result_list)


@pytest.mark.once
def test_what_came_from_outside_is_shown_as_text(every_row: None, admin_client: Client) -> None:
    """On no page is it anything else: they are read where they are all opened."""
    task = TramiteTask.objects.get(status="failed")
    for page in (url(TramiteTask, "changelist"), url(TramiteTask, "change", task.pk)):
        text = admin_client.get(page).content.decode()
        assert ": &lt;script&gt;alert" in text
        assert "<script>alert" not in text
    assert "<b>broken</b>" not in admin_client.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_the_overview_opens_with_rows_and_without(
    signed_in: SignedIn, request: pytest.FixtureRequest, role: str
) -> None:
    client = signed_in(role)
    assert client.get(reverse("admin:index")).status_code == 200
    request.getfixturevalue("every_row")
    page = client.get(reverse("admin:index")).content.decode()
    assert "xaloc_girona" in page
    assert (reverse("brain-switch") in page) == (role != "viewer")


@pytest.mark.long
@pytest.mark.once
def test_the_menu_leads_only_to_pages_that_open(
    every_row: None, client: Client, person: Person
) -> None:
    for role in (roles.VIEWER, roles.OPERATOR, roles.ADMIN):
        client.force_login(person(role))
        page = client.get(reverse("admin:index")).content.decode()
        links = set(re.findall(r'href="(/admin/\w+/\w+/)"', page))
        assert len(links) > 5
        assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


# --- What a machine writes is only looked at ------------------------------------------------------


@pytest.mark.once
def test_what_a_machine_writes_cannot_be_added_changed_or_deleted(
    every_row: None, admin_client: Client
) -> None:
    for model, model_admin in admin.site._registry.items():
        if not isinstance(model_admin, ReadOnlyAdmin):
            continue
        row = model._default_manager.first()
        assert row is not None
        before = model._default_manager.filter(pk=row.pk).values().get()
        assert admin_client.post(url(model, "add"), {}).status_code == 403
        assert admin_client.post(url(model, "change", row.pk), {"name": "x"}).status_code == 403
        assert admin_client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
        assert model._default_manager.filter(pk=row.pk).values().get() == before


@pytest.mark.once
def test_every_action_of_every_list_asks_for_a_permission(
    every_row: None, client: Client, person: Person
) -> None:
    """Whoever may only look has no action to run, whatever an app registers."""
    client.force_login(person("viewer"))
    request = RequestFactory().get("/")
    request.user = User.objects.get(username="viewer-person")
    for model_admin in admin.site._registry.values():
        assert model_admin.get_actions(request) == {}, model_admin
        for function, name, _label in model_admin._get_base_actions():
            assert getattr(function, "allowed_permissions", None), f"{model_admin}: {name}"
        for name in _page_actions(model_admin):
            function = getattr(model_admin, name)
            assert getattr(function, "allowed_permissions", None), f"{model_admin}: {name}"


def _page_actions(model_admin: ModelAdmin) -> list[str]:
    kinds = ("actions_list", "actions_row", "actions_detail", "actions_submit_line")
    return [name for kind in kinds for name in getattr(model_admin, kind, ()) or ()]


@pytest.mark.long
@pytest.mark.once
def test_a_viewer_has_no_verb(every_row: None, signed_in: SignedIn) -> None:
    """Nor a button for one: their pages are read where they are all opened."""
    client = signed_in("viewer")
    for model in filter(_has_verbs, MODELS):
        keys = list(model._default_manager.values_list("pk", flat=True))
        for verb in admin.site._registry[model].verbs:
            sure = {"confirmed": "1", "reason": "because"}
            for key in keys:
                asked = url(model, "verb", key, verb.name)
                assert client.get(asked).status_code == 403
                assert client.post(asked, sure).status_code == 403
            data = {"action": verb.name, "_selected_action": keys, "index": "0", **sure}
            client.post(url(model, "changelist"), data)
    assert not Event.objects.filter(reason="because").exists()


@pytest.mark.once
def test_a_viewer_cannot_write_configuration(every_row: None, signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    for model in MODELS:
        row = model._default_manager.first()
        assert row is not None
        assert client.post(url(model, "add"), {"name": "x"}).status_code == 403
        assert client.post(url(model, "change", row.pk), {"name": "x"}).status_code == 403
        assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403


# --- The brain's switch ---------------------------------------------------------------------------


def test_the_brain_is_paused_and_resumed_on_the_overview(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    assert client.post(reverse("brain-switch"), {"do": "pause"}).status_code == 302
    assert Pause.objects.get().by == "user:operator-person"
    client.post(reverse("brain-switch"), {"do": "resume"})
    assert not Pause.objects.exists()
    assert [e.actor for e in Event.objects.filter(new__in=["paused", "running"])] == [
        "operator-person"
    ] * 2


def test_the_brain_s_switch_is_for_operators_and_by_post(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    assert client.post(reverse("brain-switch"), {"do": "pause"}).status_code == 403
    assert client.get(reverse("brain-switch")).status_code == 405
    client.logout()
    assert client.post(reverse("brain-switch"), {"do": "pause"}).status_code in (302, 403)
    assert not Pause.objects.exists()


# --- API keys -------------------------------------------------------------------------------------


def new_key(client: Client, user: User, **values: Any) -> Any:
    data = {"name": "reports", "user": user.pk, "scope": "read", **values}
    return client.post(url(ApiKey, "add"), data, follow=True)


def shown_key(page: Any) -> str:
    found = re.search(r"\b([0-9a-f]{8}\.[\w-]{43})", page.content.decode())
    return found[1] if found else ""


def test_a_key_is_shown_once_and_only_its_hash_is_kept(signed_in: SignedIn, person: Person) -> None:
    client = signed_in("admin")
    key = shown_key(new_key(client, person("viewer")))
    row = ApiKey.objects.get()
    assert ApiKey.of(key) == row
    stored = ApiKey.objects.filter(pk=row.pk).values().get()
    assert key not in str(stored)
    assert key.partition(".")[2] not in str(stored)
    secret = key.partition(".")[2]
    for page in (url(ApiKey, "changelist"), url(ApiKey, "change", row.pk), reverse("admin:index")):
        text = client.get(page).content.decode()
        assert secret not in text
        assert row.digest not in text
    history = client.get(url(ApiKey, "history", row.pk)).content.decode()
    assert secret not in history


def test_saving_a_key_again_does_not_change_it(signed_in: SignedIn, person: Person) -> None:
    client = signed_in("admin")
    viewer = person("viewer")
    key = shown_key(new_key(client, viewer))
    row = ApiKey.objects.get()
    data = {"name": "renamed", "user": viewer.pk, "scope": "operate"}
    page = client.post(url(ApiKey, "change", row.pk), data, follow=True)
    assert not shown_key(page)
    again = ApiKey.of(key)
    assert again is not None
    assert (again.name, again.scope) == ("renamed", "operate")


def test_the_admin_role_cannot_make_a_key_of_a_superuser(signed_in: SignedIn) -> None:
    client = signed_in("admin")
    root = User.objects.create_superuser("root")
    new_key(client, root)
    assert not ApiKey.objects.exists()


def test_the_admin_role_cannot_turn_its_own_key_into_a_superuser_s(
    signed_in: SignedIn, person: Person
) -> None:
    client = signed_in("admin")
    new_key(client, person("viewer"))
    row, root = ApiKey.objects.get(), User.objects.create_superuser("root")
    client.post(url(ApiKey, "change", row.pk), {"name": "x", "user": root.pk, "scope": "admin"})
    row.refresh_from_db()
    assert row.user.username == "viewer-person"


def test_a_superuser_may_have_a_key(admin_client: Client, admin_user: User) -> None:
    assert ApiKey.of(shown_key(new_key(admin_client, admin_user, scope="admin")))


# --- People ---------------------------------------------------------------------------------------


def user_form(user: User, **values: Any) -> dict[str, Any]:
    return {
        "username": user.username,
        "is_active": "on",
        "is_staff": "on",
        "groups": [group.pk for group in user.groups.all()],
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
        **values,
    }


def test_the_admin_role_makes_nobody_a_superuser(signed_in: SignedIn, person: Person) -> None:
    client = signed_in("admin")
    for user in (User.objects.get(username="admin-person"), person("viewer")):
        page = client.post(url(User, "change", user.pk), user_form(user, is_superuser="on"))
        assert page.status_code == 302
        user.refresh_from_db()
        assert not user.is_superuser


def test_the_admin_role_leaves_superusers_alone(signed_in: SignedIn) -> None:
    client = signed_in("admin")
    root = User.objects.create_superuser("root", password="x")
    password = root.password
    given = {"password1": "another-Pass-1", "password2": "another-Pass-1"}
    assert client.post(url(User, "change", root.pk), user_form(root)).status_code == 403
    asked = reverse("admin:auth_user_password_change", args=[root.pk])
    assert client.post(asked, given).status_code == 403
    assert client.post(url(User, "delete", root.pk), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"}
    client.post(url(User, "changelist"), data)
    root.refresh_from_db()
    assert root.password == password


def test_the_admin_role_gives_people_their_role(signed_in: SignedIn, person: Person) -> None:
    client = signed_in("admin")
    user = person("viewer")
    operators = Group.objects.get(name=roles.OPERATOR)
    client.post(url(User, "change", user.pk), user_form(user, groups=[operators.pk]))
    assert list(user.groups.all()) == [operators]


def test_a_superuser_may_make_superusers(admin_client: Client, person: Person) -> None:
    user = person("viewer")
    admin_client.post(url(User, "change", user.pk), user_form(user, is_superuser="on"))
    user.refresh_from_db()
    assert user.is_superuser


def test_a_new_user_has_a_password_and_no_rights(signed_in: SignedIn) -> None:
    data = {"username": "ana", "password1": "a-Long-one-77", "password2": "a-Long-one-77"}
    data["usable_password"] = "true"
    signed_in("admin").post(url(User, "add"), data)
    user = User.objects.get(username="ana")
    assert user.check_password("a-Long-one-77")
    assert not user.is_staff
    assert not user.get_all_permissions()


def test_flow_versions_are_listed_with_their_state(every_row: None, signed_in: SignedIn) -> None:
    Flow.add_version("file_demo", Flow.objects.get(organisation=None).steps)
    page = signed_in("viewer").get(url(Flow, "changelist")).content.decode()
    assert "state-ok" in page
    assert "state-off" in page
