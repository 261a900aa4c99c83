"""Role x object x verb over the whole API: who may ask what, told by a table of its own.

Every operation of the OpenAPI document is asked for by everybody, with ids of rows that are there
and an empty body; whatever that wrote is taken back. A route that the table below does not know of
counts as staff's: one that is opened to others by mistake is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from drf_spectacular.generators import SchemaGenerator

from orchestrator_site.api.schema import METHODS
from orchestrator_site.models import Member
from orchestrator_site.urls import control, router
from tests.callers import API, Caller, key_of, nobody_has_asked_yet
from tests.every_row import every_row as every_row
from tests.factories import (
    ConnectedProviderFactory,
    JobFactory,
    MemberFactory,
    OrganisationFlowFactory,
    WebhookEndpointFactory,
)

pytestmark = [pytest.mark.long, pytest.mark.django_db, pytest.mark.once]
assert nobody_has_asked_yet
# The guide has providers before a login; the others prove by themselves who asks.
OPEN = r"auth/(login|register)|schema/|files/\{signed\}|providers/(\{id\}/)?$"
# What members of an organisation use; `run` is theirs alone, as are what they are and their keys.
MEMBERS = r"organisation|keys|providers|connections|flows|jobs|run|webhooks|webhook-deliveries|auth"
MEMBERS_ALONE = r"(organisation|keys|auth/logout)(/|$)"
OPERATORS_OPERATE = r"run/|providers/\{id\}/connect/"  # told that no organisation is theirs
SCRAPERS = r"devices/\{id\}/heartbeat/"
# Wants a signature over its body besides: tests/queues/test_results_api.py.
LEFT_OUT = r"queue-entries/\{document_id\}/result"
# Of what staff see, what viewers and operators do not: names of people and what they did.
ADMINS_READ = r"audit"
# Which code runs is configuration, although it is done by verbs.
ADMINS_VERBS = r"flows/\{id\}/|signing-keys/|members/"
OPERATORS_ENTER = r"authorisations/"
# What a person does for themselves, whatever the role.
ONES_OWN = r"saved-filters/"
# Of these an operator asks for work by POST to the list, or to the loop.
OPERATORS_ASK = (
    r"(brain|distribution)/(pause|resume)/|(cycles|reconciliations)/run/|post-processing-runs/"
    r"|verifications/|bulk-actions/|share-changes/\{id\}/revert/|shares/|devices/\{id\}/heartbeat/"
    r"|shares/simulate/"
)
# What stands in addresses in place of a row's key.
WORDS = {"audit/export/{": "csv", "queues/{": "appeals", "{case_id}": uuid4()}
VERB = r"\{id\}/[a-z-]+/?$"


def is_of(pattern: str, path: str) -> bool:
    return re.match(pattern, path.removeprefix(API)) is not None


def operations() -> Iterator[tuple[str, str]]:
    for path, methods in SchemaGenerator().get_schema(request=None, public=True)["paths"].items():
        if not is_of(LEFT_OUT, path):
            yield from ((method.upper(), path) for method in METHODS if method in methods)


OPERATIONS = cache(lambda: tuple(operations()))


def filled(path: str) -> str:
    """With the id of a row that is there."""
    keys = {
        f"{API}{prefix}/": viewset.queryset.values_list(viewset.lookup_field, flat=True)
        for prefix, viewset, _name in (*router.registry, *control.registry)
    }
    there = keys.get(path.partition("{")[0])
    found = there.first() if there is not None else None
    if found is None:
        found = next((value for name, value in WORDS.items() if name in path), 1)
    return re.sub(r"\{\w+\}", str(found), path)


def statuses(client: Caller) -> dict[tuple[str, str], int]:
    """What each operation answers, none of them leaving a trace."""
    client.raise_request_exception = False
    found = {}
    for method, path in OPERATIONS():
        with transaction.atomic():
            answer = client.generic(method, filled(path), "{}", "application/json")
            transaction.set_rollback(True)
        found[method, path] = answer.status_code
    return found


def unlike(client: Caller, may: Any) -> dict[str, int]:
    """Where the answer is another than the table says: refused, or not."""
    return {
        f"{method} {path}": status
        for (method, path), status in statuses(client).items()
        if (status not in (401, 403)) != may(method, path) or status >= 500
    }


@pytest.fixture(autouse=True)
def no_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rest_framework.views.APIView.throttle_classes", [])


def of_role(role: str, scope: str = "admin") -> Caller:
    user = User.objects.create_user(f"{role}-person", is_staff=role != "scraper")
    user.groups.add(Group.objects.get(name=role))
    return Caller(key_of(user, scope))


def a_viewer_may(method: str, path: str) -> bool:
    if is_of(OPEN, path) or (is_of(ONES_OWN, path) and method != "DELETE"):
        return True  # the one that is there is another's
    if is_of(MEMBERS_ALONE, path) or is_of(ADMINS_READ, path):
        return False
    return method == "GET" and not is_of(OPERATORS_OPERATE, path)


def an_operator_may(method: str, path: str) -> bool:
    if a_viewer_may(method, path) or is_of(OPERATORS_OPERATE, path):
        return True
    if is_of(MEMBERS_ALONE, path) or is_of(ADMINS_READ, path) or method != "POST":
        return (is_of(OPERATORS_ENTER, path) and method != "DELETE") or path == f"{API}shares/"
    is_verb = re.search(VERB, path) is not None and not is_of(ADMINS_VERBS, path)
    return is_verb or is_of(OPERATORS_ASK, path) or is_of(OPERATORS_ENTER, path)


def an_operating_key_may(method: str, path: str) -> bool:
    """Verbs alone: what is entered or set wants a key without limits."""
    enters = is_of(OPERATORS_ENTER, path) and method != "GET"
    return is_of(ONES_OWN, path) or (an_operator_may(method, path) and not enters)


def an_admin_may(method: str, path: str) -> bool:
    return not is_of(MEMBERS_ALONE, path)


def a_member_may(method: str, path: str) -> bool:
    return is_of(OPEN, path) or is_of(f"({MEMBERS})(/|$)", path)


def test_everybody_may_what_the_table_says_and_no_more(every_row: None, origin: Any) -> None:
    found = {
        "a stranger": unlike(Caller(), lambda _method, path: is_of(OPEN, path)),
        "a scraper": unlike(
            of_role("scraper"), lambda _method, path: is_of(f"{SCRAPERS}|{OPEN}", path)
        ),
        "a viewer": unlike(of_role("viewer"), a_viewer_may),
        "an operator": unlike(of_role("operator"), an_operator_may),
        "an admin": unlike(of_role("admin"), an_admin_may),
        "a member": unlike(Caller(key_of(MemberFactory().user)), a_member_may),
    }
    assert {who: wrong for who, wrong in found.items() if wrong} == {}


def test_a_key_of_an_admin_s_writes_no_more_than_its_scope(every_row: None, origin: Any) -> None:
    admin = of_role("admin")
    user = User.objects.get(username="admin-person")
    assert admin
    rules = {"read": lambda *_asked: False, "operate": an_operating_key_may}
    for scope, may in rules.items():
        wrong = {
            label: status
            for label, status in unlike(Caller(key_of(user, scope, scope)), may).items()
            if not label.startswith("GET ") and not is_of(OPEN, label.partition(" ")[2])
        }
        assert wrong == {}, scope


def test_another_organisation_s_object_is_not_there() -> None:
    """Each object of another organisation, by each verb, as its neighbour with every right."""
    other = OrganisationFlowFactory().organisation
    theirs = {
        "flows": other.flows.first().pk,
        "jobs": JobFactory(member__organisation=other).case_id,
        "connections": ConnectedProviderFactory(organisation=other).pk,
        "webhooks": WebhookEndpointFactory(organisation=other).pk,
        "organisation/members": Member.objects.filter(organisation=other).first().pk,
    }
    client = Caller(key_of(MemberFactory().user))
    client.raise_request_exception = False
    seen = {}
    for method, path in OPERATIONS():
        for prefix, key in theirs.items():
            if not path.startswith(f"{API}{prefix}/{{id}}"):
                continue
            with transaction.atomic():
                answer = client.generic(
                    method, path.replace("{id}", str(key)), "{}", "application/json"
                )
                transaction.set_rollback(True)
            seen[f"{method} {path}"] = answer.status_code
    assert len(seen) > 20
    assert {label: status for label, status in seen.items() if status != 404} == {}


def test_no_list_tells_a_member_of_another_organisation() -> None:
    flow = OrganisationFlowFactory()
    JobFactory(member__organisation=flow.organisation)
    ConnectedProviderFactory(organisation=flow.organisation)
    WebhookEndpointFactory(organisation=flow.organisation)
    client = Caller(key_of(MemberFactory().user))
    for prefix in ("flows", "jobs", "connections", "webhooks", "webhook-deliveries", "keys"):
        rows = client.read(f"{prefix}/")
        listed = rows["results"] if isinstance(rows, dict) else rows
        others = [row for row in listed if prefix != "keys"]
        assert others == [], prefix
