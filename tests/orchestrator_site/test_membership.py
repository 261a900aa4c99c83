"""How people come in: registration, login, keys, invitations."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orchestrator_site.api import auth
from orchestrator_site.models import ApiKey, Event, Member, Organisation
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
    ConnectedProviderFactory,
    JobFactory,
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


@pytest.fixture(autouse=True)
def registration(settings: Any) -> None:
    settings.REGISTRATION_IS_OPEN = True


# --- Registration and login ----------------------------------------------------------------------


def test_who_registers_owns_a_new_organisation(stranger: Caller) -> None:
    answer = stranger.send("auth/register", ANA, 201)
    member = Member.objects.get()
    assert (member.role, member.organisation.name) == ("owner", "Mi Empresa")
    assert answer["organisation"] == {
        "id": str(member.organisation_id),
        "name": "Mi Empresa",
        "role": "owner",
    }
    assert answer["user"]["email"] == member.user.username == "ana@empresa.example"
    assert [group.name for group in member.user.groups.all()] == ["member"]
    assert not member.user.is_staff
    assert Event.objects.filter(new="member", actor=member.user.username).count() == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "x" * 150 + "@example.com"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "ana@empresa.example"}, "password"),
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"orgName": ""}, "orgName"),
        ({"invitation": "x"}, "orgName"),
    ],
)
def test_a_registration_that_does_not_fit_is_told_by_its_field(
    stranger: Caller, values: dict[str, str], field: str
) -> None:
    refused = stranger.send("auth/register", {**ANA, **values}, 400)
    assert problem(refused) == ("invalid", [field])
    assert not Organisation.objects.exists()


@pytest.mark.parametrize("body", [[], 7, "text", None, ["invitation"]])
def test_a_registration_of_another_shape_is_refused(stranger: Caller, body: Any) -> None:
    stranger.send("auth/register", body, 400)
    stranger.send("auth/login", body, 400)


def test_an_address_registers_once_however_it_is_written(stranger: Caller) -> None:
    stranger.send("auth/register", ANA, 201)
    again = stranger.send("auth/register", {**ANA, "email": "ANA@EMPRESA.example"}, 400)
    assert problem(again) == ("invalid", ["email"])
    assert Organisation.objects.count() == 1


def test_closed_registration_lets_nobody_in_and_tells_nothing(
    stranger: Caller, settings: Any
) -> None:
    settings.REGISTRATION_IS_OPEN = False
    MemberFactory(user="ana@empresa.example")
    assert problem(stranger.send("auth/register", ANA, 403)) == ("permission_denied", [])


def test_a_login_gives_a_token_for_twelve_hours(stranger: Caller) -> None:
    stranger.send("auth/register", ANA, 201)
    login = {"email": "ANA@empresa.example", "password": PASSWORD}
    token = stranger.send("auth/login", login)["token"]
    row = ApiKey.objects.get(prefix=token[:8])
    assert row.name == "login"
    assert timedelta(hours=11) < row.expires_at - timezone.now() <= timedelta(hours=12)
    assert token not in json.dumps(list(ApiKey.objects.values()), default=str)
    Caller(token).read("jobs")
    ApiKey.objects.update(expires_at=timezone.now())
    Caller(token).read("jobs", 401)
    stranger.send("auth/login", login)
    assert ApiKey.objects.count() == 1  # those that have run out are gone


def test_a_wrong_password_and_an_unknown_address_are_told_alike(
    stranger: Caller, member: Member
) -> None:
    wrong = stranger.send("auth/login", {"email": member.user.username, "password": "y"}, 401)
    unknown = stranger.send("auth/login", {"email": "no@example.com", "password": "x"}, 401)
    assert wrong == unknown


def test_failed_logins_lock_an_address_out_for_a_while(
    stranger: Caller, member: Member, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AXES_ENABLED = True
    settings.AXES_FAILURE_LIMIT = 3
    login = {"email": member.user.username, "password": "wrong"}
    for _time in range(2):
        stranger.send("auth/login", login, 401)
    assert problem(stranger.send("auth/login", login, 429))[0] == "locked_out"
    assert problem(stranger.send("auth/login", {**login, "password": "x"}, 429))[0] == "locked_out"


def test_one_address_registers_and_logs_in_ten_times_a_minute(stranger: Caller) -> None:
    for number in range(10):
        headers = {"X-Forwarded-For": f"10.0.0.{number}"}  # what a caller says of itself
        stranger.post(f"{API}auth/login", {}, "application/json", headers=headers)
    refused = stranger.send("auth/login", {}, 429)
    assert problem(refused) == ("throttled", [])


def test_a_member_of_an_inactive_organisation_stays_outside(
    stranger: Caller, caller: Caller, member: Member
) -> None:
    Organisation.objects.update(active=False)
    caller.read("jobs", 401)
    login = {"email": member.user.username, "password": "x"}
    assert problem(stranger.send("auth/login", login, 403))[0] == "permission_denied"


def test_a_logout_ends_the_login_and_no_other_key(member: Member) -> None:
    login, script = key_of(member.user, name="login"), key_of(member.user)
    Caller(script).send("auth/logout", status=409)
    Caller(login).send("auth/logout", status=204)
    Caller(login).read("jobs", 401)
    Caller(script).read("jobs")


def test_a_member_cannot_sign_in_to_the_admin(client: Client, member: Member) -> None:
    client.force_login(member.user)
    for path in ("/admin/", "/admin/queues/job/", "/admin/postprocessing/"):
        assert client.get(path).status_code == 302


# --- Keys ----------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_stored_by_its_hash(caller: Caller) -> None:
    made = caller.send("keys", {"name": "nightly", "scope": "operate"}, 201)
    assert made["key"].startswith(made["prefix"])
    listed = {row["name"]: row for row in caller.read("keys")["results"]}
    assert listed["nightly"].get("key") is None
    assert made["key"] not in str(ApiKey.objects.values())
    Caller(made["key"]).read("jobs")
    caller.ask("DELETE", f"keys/{made['id']}", status=204)
    Caller(made["key"]).read("jobs", 401)


def test_a_key_is_made_by_one_of_full_scope_alone(member: Member) -> None:
    for scope in ("read", "operate"):
        client = Caller(key_of(member.user, scope))
        client.send("keys", {"name": "more", "scope": "admin"}, 403)
        client.read("keys")
    for wrong in ({"name": "login"}, {"name": "x", "expiresAt": "2020-01-01T00:00:00Z"}, {}):
        Caller(key_of(member.user)).send("keys", wrong, 400)


def test_nobody_has_keys_without_end(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MOST_KEYS", 2)
    caller.send("keys", {"name": "one"}, 201)
    caller.send("keys", {"name": "two"}, 409)


def test_staff_s_keys_are_not_given_out_here(person: Any) -> None:
    staff = Caller(key_of(person("viewer")))
    staff.send("keys", {"name": "mine", "scope": "admin"}, 403)
    staff.read("organisation", 403)


@pytest.mark.parametrize(
    ("scope", "runs", "activates"), [("read", 403, 403), ("operate", 202, 403), ("admin", 202, 200)]
)
def test_a_scope_narrows_what_a_member_may_do(
    member: Member, scope: str, runs: int, activates: int
) -> None:
    provider = ProviderFactory(needs_session=False)
    OrganisationFlowFactory(organisation=member.organisation, provider=provider)
    other = OrganisationFlowFactory(organisation=member.organisation, is_active=False)
    client = Caller(key_of(member.user, scope))
    client.send("run", {"providerId": provider.name}, runs)
    client.send(f"flows/{other.pk}/activate", {}, activates)


# --- The organisation ----------------------------------------------------------------------------


def test_an_invited_person_registers_though_registration_is_closed(
    caller: Caller, stranger: Caller, member: Member, settings: Any
) -> None:
    settings.REGISTRATION_IS_OPEN = False
    invitation = caller.send("organisation/members", {"email": "Eva@b.example"}, 201)["invitation"]
    eva = {"email": "eva@b.example", "password": PASSWORD, "name": "Eva", "invitation": invitation}
    for wrong in ({"email": "other@b.example"}, {"invitation": invitation + "x"}):
        stranger.send("auth/register", {**eva, **wrong}, 400)
    place = stranger.send("auth/register", eva, 201)["organisation"]
    assert (place["id"], place["role"]) == (str(member.organisation_id), "member")
    stranger.send("auth/register", eva, 400)  # good once
    people = caller.read("organisation/members")["results"]
    assert {one["email"] for one in people} == {"eva@b.example", member.user.email}


def test_only_owners_change_the_organisation(member: Member) -> None:
    eva = MemberFactory(organisation=member.organisation, role="member")
    client = Caller(key_of(eva.user))
    client.send("organisation/members", {"email": "x@b.example"}, 403)
    client.ask("PATCH", "organisation", {"needsApproval": False}, 403)
    client.ask("DELETE", f"organisation/members/{member.pk}", status=403)
    owner = Caller(key_of(member.user))
    assert owner.ask("PATCH", "organisation", {"needsApproval": True})["needsApproval"]
    assert Event.objects.get(new="changed").data["before"] == {"needs_approval": False}


def test_a_removed_member_is_out_and_never_counts_as_staff(member: Member) -> None:
    eva = MemberFactory(organisation=member.organisation, role="member")
    hers, owner = Caller(key_of(eva.user)), Caller(key_of(member.user))
    JobFactory()
    session = ConnectedProviderFactory(member=eva)
    owner.ask("DELETE", f"organisation/members/{eva.pk}", status=204)
    hers.read("jobs", 401)
    session.refresh_from_db()
    assert (session.status, session.session) == ("disconnected", "")
    User.objects.filter(pk=eva.user_id).update(is_active=True)  # by mistake
    assert Caller(key_of(eva.user)).read("jobs")["results"] == []
    Member.objects.filter(pk=eva.pk).delete()  # by mistake too
    assert Caller(key_of(eva.user)).read("jobs")["results"] == []


def test_an_organisation_keeps_an_owner(caller: Caller, member: Member) -> None:
    refused = caller.ask("DELETE", f"organisation/members/{member.pk}", status=409)
    assert problem(refused) == ("conflict", [])
    MemberFactory(organisation=member.organisation)
    caller.ask("DELETE", f"organisation/members/{member.pk}", status=204)
