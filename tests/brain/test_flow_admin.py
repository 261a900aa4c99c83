"""Flows, providers, sessions, keys and organisations in the admin: made, compared, acted on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import models
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, sync_playwright

from brain.models import ConnectedProvider, Flow, Provider, SigningKey
from orchestrator_site.models import Event, Member, Organisation
from queues.browser import launch, scripts
from tests import parts
from tests.factories import (
    COOKIE,
    SITE_STEPS,
    ConnectedProviderFactory,
    FlowFactory,
    MemberFactory,
    OrganisationFactory,
    OrganisationFlowFactory,
    ProviderFactory,
)

pytestmark = pytest.mark.django_db
SignedIn = Callable[[str], Client]
HOME, PICTURE = SITE_STEPS
CLICK = {"do": "click", "selector": "#search"}


def url(model: type[models.Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def told(answer: Any) -> str:
    """The last message: those before are of requests whose pages were not opened."""
    return [str(message) for message in get_messages(answer.wsgi_request)][-1]


def sure(reason: str = "seen by a person") -> dict[str, str]:
    return {"confirmed": "1", "reason": reason}


def form_of(flow: Flow, **values: Any) -> dict[str, Any]:
    """A new version of the organisation's flow, as a browser would send it."""
    about = {"organisation": flow.organisation_id, "provider": flow.provider_id}
    steps = json.dumps(values.pop("steps", SITE_STEPS))
    return {**about, "name": flow.name, "steps": steps, "inputs": "{}", "hosts": "", **values}


# --- A new version ----------------------------------------------------------------------------


def test_a_version_for_an_organisation_is_made_from_the_one_before(signed_in: SignedIn) -> None:
    client, first = signed_in("admin"), OrganisationFlowFactory(title="Invoices", hosts=["a.test"])
    copied = client.get(url(Flow, "add"), {"from": first.pk}).context["adminform"].form
    assert copied.initial["provider"] == first.provider_id
    assert copied["hosts"].value() == "a.test"
    assert "label" not in copied.initial
    given = form_of(first, steps=[HOME], label="1.1.0", hosts="a.test, *.b.test\n")
    assert client.post(url(Flow, "add"), given).status_code == 302
    second = Flow.objects.get(version=2)
    assert (second.organisation, second.label) == (first.organisation, "1.1.0")
    assert second.hosts == ["a.test", "*.b.test"]
    assert not second.active
    second.verify()


def test_an_author_s_number_is_of_one_version(signed_in: SignedIn) -> None:
    first = OrganisationFlowFactory()
    answer = signed_in("admin").post(url(Flow, "add"), form_of(first, label=first.label))
    assert list(answer.context["adminform"].form.errors) == ["label"]
    assert Flow.objects.count() == 1


def test_the_editor_knows_every_verb_and_falls_back_to_the_text_area(signed_in: SignedIn) -> None:
    answer = signed_in("admin").get(url(Flow, "add"))
    assert set(answer.context["vocabulary"]["verbs"]) == set(scripts.VERBS)
    assert set(answer.context["vocabulary"]["flags"]) == set(scripts.FLAGS)
    text = answer.content.decode()
    assert '<textarea name="steps"' in text and "flow_editor.js" in text


def test_the_preview_is_what_would_be_signed(signed_in: SignedIn) -> None:
    first = OrganisationFlowFactory()
    given = form_of(first, steps=[HOME, CLICK])
    shown = signed_in("admin").post(reverse("admin:brain_flow_preview"), given).json()
    assert shown["hash"] == scripts.sha256(scripts.canonical([HOME, CLICK]))
    assert json.loads(shown["script"]) == [HOME, CLICK]
    assert (shown["steps"], shown["others"]) == ({}, [])
    assert Flow.objects.count() == 1


def test_the_preview_puts_what_is_wrong_beside_its_step(signed_in: SignedIn) -> None:
    steps = [HOME, {"do": "click"}, {"do": "navigate", "url": "http://169.254.169.254/"}]
    given = form_of(OrganisationFlowFactory(), steps=steps, hosts="169.254.169.254")
    client = signed_in("admin")
    shown = client.post(reverse("admin:brain_flow_preview"), given).json()
    assert shown["steps"] == {"2": ["selector is required"]}
    assert any("169.254.169.254" in text for text in shown["others"])
    shown = client.post(reverse("admin:brain_flow_preview"), {**given, "steps": "[{"}).json()
    assert (shown["script"], shown["hash"]) == ("", "")
    assert shown["others"]


def test_the_preview_is_for_those_who_may_add(signed_in: SignedIn) -> None:
    client = signed_in("operator")
    assert client.post(reverse("admin:brain_flow_preview"), {}).status_code == 403
    assert client.get(reverse("admin:brain_flow_preview")).status_code == 405


def test_only_who_may_add_is_offered_a_new_version(
    client: Client, person: Callable[[str], User]
) -> None:
    flow = FlowFactory()
    word = "New version from this one"
    for role, is_offered in (("viewer", False), ("admin", True)):
        client.force_login(person(role))
        page = client.get(url(Flow, "change", flow.pk)).content.decode()
        assert (word in page) == is_offered


# --- A version's page -------------------------------------------------------------------------


def test_a_version_is_compared_with_the_active_one_or_any_other(signed_in: SignedIn) -> None:
    first = OrganisationFlowFactory(steps=[HOME, PICTURE])
    second = OrganisationFlowFactory(
        organisation=first.organisation, provider=first.provider, steps=[HOME, CLICK, PICTURE]
    )
    other = OrganisationFlowFactory()
    client = signed_in("viewer")

    def compared(flow: Flow, **query: Any) -> Any:
        context = client.get(url(Flow, "change", flow.pk), query).context
        return context["other"], [(one["old"], one["new"]) for one in context["differences"]]

    assert compared(first) == (second, [(1, 1), (2, None), (3, 2)])
    assert compared(second) == (first, [(1, 1), (None, 2), (2, 3)])
    third = OrganisationFlowFactory(
        organisation=first.organisation, provider=first.provider, is_active=False
    )
    assert compared(third)[0] == second
    assert compared(third, **{"with": first.pk})[0] == first
    assert compared(third, **{"with": other.pk})[0] == second, "another organisation's"


def test_a_version_whose_script_was_changed_says_so(signed_in: SignedIn) -> None:
    flow = OrganisationFlowFactory()
    Flow.objects.filter(pk=flow.pk).update(script=flow.script + " ")
    page = signed_in("viewer").get(url(Flow, "change", flow.pk)).content.decode()
    assert "Script integrity check failed" in page


def test_a_version_is_approved_by_somebody_else_activated_and_undone(
    client: Client, person: Callable[[str], User]
) -> None:
    first = OrganisationFlowFactory()
    Organisation.objects.update(needs_approval=True)
    client.force_login(person("admin"))
    assert client.post(url(Flow, "add"), form_of(first, steps=[HOME])).status_code == 302
    second = Flow.objects.get(version=2)
    assert "Waits for approval" in client.get(url(Flow, "changelist")).content.decode()
    for verb in ("approve", "activate"):
        refusal = told(client.post(url(Flow, "verb", second.pk, verb), sure()))
        assert "else than" in refusal
    client.force_login(User.objects.create_superuser("second-person"))
    for verb in ("approve", "activate"):
        assert told(client.post(url(Flow, "verb", second.pk, verb), sure())) == "Done for 1 row."
    assert first.siblings().get(active=True) == second
    client.post(url(Flow, "verb", second.pk, "rollback"), sure())
    assert first.siblings().get(active=True) == first


# --- Providers and sessions -------------------------------------------------------------------


def test_a_provider_s_hosts_are_lines_and_checked(signed_in: SignedIn) -> None:
    client = signed_in("admin")
    given = {
        "name": "granos",
        "title": "Granos",
        "url": "https://granos.example.com/",
        "hosts": "*.granos.example.com\nfiles.example.com",
        "active": "on",
    }
    assert client.post(url(Provider, "add"), given).status_code == 302
    row = Provider.objects.get()
    assert row.hosts == ["*.granos.example.com", "files.example.com"]
    change = url(Provider, "change", row.pk)
    wrong = client.post(change, {**given, "hosts": "169.254.169.254"})
    assert list(wrong.context["adminform"].form.errors) == ["hosts"]
    assert client.post(change, {**given, "name": "other", "title": "G."}).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.title) == ("granos", "G.")
    assert Event.objects.filter(object_type="brain.provider", new="changed").count() == 1


def test_of_a_session_all_is_shown_but_what_it_is_made_of(signed_in: SignedIn) -> None:
    row = ConnectedProviderFactory()
    client = signed_in("operator")
    for page in (url(ConnectedProvider, "changelist"), url(ConnectedProvider, "change", row.pk)):
        text = client.get(page).content.decode()
        assert row.user.get_username() in text
        assert row.session not in text and COOKIE["value"] not in text
    assert client.get(url(ConnectedProvider, "add")).status_code == 403


def test_a_session_is_ended_from_its_page(signed_in: SignedIn) -> None:
    row = ConnectedProviderFactory()
    answer = signed_in("operator").post(
        url(ConnectedProvider, "verb", row.pk, "disconnect"), sure()
    )
    assert told(answer) == "Done for 1 row."
    row.refresh_from_db()
    assert (row.status, row.session) == ("disconnected", "")


# --- Signing keys -----------------------------------------------------------------------------


def test_a_key_is_rotated_activated_and_revoked_and_never_shown(
    client: Client, person: Callable[[str], User]
) -> None:
    client.force_login(person("admin"))
    first = SigningKey.current()

    def act(key: SigningKey, verb: str) -> str:
        return told(client.post(url(SigningKey, "verb", key.pk, verb), sure()))

    assert act(first, "rotate") == "Done for 1 row."
    assert "waits already" in act(first, "rotate")
    second = SigningKey.objects.get(status="new")
    assert act(second, "activate") == "Done for 1 row."
    assert act(first, "revoke") == "Done for 1 row."
    assert SigningKey.current() == second
    for page in (url(SigningKey, "changelist"), url(SigningKey, "change", second.pk)):
        text = client.get(page).content.decode()
        assert second.key_id in text
        assert second.secret not in text and first.secret not in text


def test_an_operator_looks_at_keys_and_acts_on_none(signed_in: SignedIn) -> None:
    client, key = signed_in("operator"), SigningKey.current()
    assert "/verb/" not in client.get(url(SigningKey, "change", key.pk)).content.decode()
    assert client.post(url(SigningKey, "verb", key.pk, "rotate"), sure()).status_code == 403
    assert SigningKey.objects.count() == 1


# --- Organisations and members ----------------------------------------------------------------


def test_an_organisation_is_switched_off_and_not_deleted(signed_in: SignedIn) -> None:
    client, row = signed_in("admin"), OrganisationFactory()
    assert client.post(url(Organisation, "delete", row.pk), {"post": "yes"}).status_code == 403
    client.post(url(Organisation, "change", row.pk), {"name": row.name})
    row.refresh_from_db()
    assert not row.active
    event = Event.objects.get(object_type="orchestrator_site.organisation")
    assert event.data == {"active": False}


def test_a_person_of_no_organisation_becomes_a_member_and_staff_cannot(
    signed_in: SignedIn,
) -> None:
    client, place = signed_in("admin"), OrganisationFactory()
    ana = User.objects.create_user("ana")
    ours = User.objects.get(username="admin-person")
    for user, is_taken in ((ours, False), (ana, True)):
        given = {"organisation": place.pk, "user": user.pk, "role": "owner"}
        assert (client.post(url(Member, "add"), given).status_code == 302) == is_taken
    assert [member.user for member in place.members.all()] == [ana]
    assert ana.has_perm("queues.add_job") and not ana.has_perm("queues.view_tramitetask")


def test_a_member_is_removed_but_not_the_last_owner(signed_in: SignedIn) -> None:
    owner = MemberFactory()
    other = MemberFactory(organisation=owner.organisation, role="member")
    client = signed_in("admin")
    assert told(client.post(url(Member, "verb", other.pk, "remove"), sure())) == "Done for 1 row."
    assert not User.objects.get(pk=other.user_id).is_active
    assert Member.objects.filter(pk=other.pk).exists()
    refusal = told(client.post(url(Member, "verb", owner.pk, "remove"), sure()))
    assert "needs an owner" in refusal


def test_a_viewer_removes_nobody(signed_in: SignedIn) -> None:
    row = MemberFactory()
    assert (
        signed_in("viewer").post(url(Member, "verb", row.pk, "remove"), sure()).status_code == 403
    )


# --- The editor in a browser ------------------------------------------------------------------


@pytest.fixture
def page(live_server: Any) -> Iterator[Page]:
    """A superuser's, on the form of a new version of a flow with two steps."""
    parts.require("a browser")
    flow = OrganisationFlowFactory(provider=ProviderFactory(), steps=[HOME, PICTURE])
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    name = settings.SESSION_COOKIE_NAME
    cookie = {"name": name, "value": client.cookies[name].value, "url": live_server.url}
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=launch.find_browser() or None, args=launch.arguments()
        )
        context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en")
        context.add_cookies([cookie])
        opened = context.new_page()
        opened.goto(f"{live_server.url}{url(Flow, 'add')}?from={flow.pk}")
        yield opened
        browser.close()


@pytest.mark.chromium
@pytest.mark.django_db(transaction=True)
def test_steps_are_edited_by_keyboard_and_checked_while_they_are(page: Page) -> None:
    def steps() -> Any:
        return json.loads(page.locator("#id_steps").input_value())

    rows = page.locator(".editor .step")
    assert not page.locator("#id_steps").is_visible()
    page.get_by_role("button", name="Add a step", exact=True).press("Enter")
    assert steps() == [HOME, PICTURE, {"do": "click", "selector": ""}]
    page.locator(".step.wrong").wait_for()
    assert rows.nth(2).locator(".problems").inner_text() == "selector is empty"
    rows.nth(2).get_by_label("selector").fill("#search")
    page.get_by_text("It can be saved.").wait_for()
    rows.nth(2).get_by_role("button", name="Move up").press("Enter")
    page.keyboard.press("Enter")
    assert steps() == [CLICK, HOME, PICTURE]
    assert page.evaluate("document.activeElement.dataset.does") == "down"
    rows.nth(0).get_by_label("What it does").select_option("wait")
    rows.nth(0).get_by_label("on what").select_option("text")
    rows.nth(0).get_by_label("proves that it went through").check()
    assert steps()[0] == {"do": "wait", "text": "#search", "confirms": True}
    page.get_by_text("confirms needs an irrevocable step before it").wait_for()
    rows.nth(0).get_by_role("button", name="Remove").click()
    assert steps() == [HOME, PICTURE]
    page.get_by_role("button", name="As JSON").click()
    page.locator("#id_steps").fill("[{")
    page.get_by_role("button", name="As a form").click()
    assert page.locator("#id_steps").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
