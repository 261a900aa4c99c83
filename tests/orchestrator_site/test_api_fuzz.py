"""Any request that the OpenAPI document allows, as each role: no defect, no answer that the
document does not describe.

`FUZZ_CASES=5000` makes that many of them as each role; the suite makes a few.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings

from orchestrator_site.models import Member
from orchestrator_site.urls import control, router
from tests.callers import API, Caller, key_of, nobody_has_asked_yet
from tests.every_row import every_row as every_row
from tests.factories import MemberFactory

pytestmark = [pytest.mark.long, pytest.mark.django_db, pytest.mark.once]
assert nobody_has_asked_yet
CASES = int(os.environ.get("FUZZ_CASES", "250"))  # as each role
ROLES = ("viewer", "operator", "admin", "scraper", "member")
SCHEMA = "schema/"  # it is YAML, and asked for before each run


@pytest.fixture(params=ROLES)
def fuzzer(request: pytest.FixtureRequest, every_row: None) -> Caller:
    """Whoever asks, with a key that narrows nothing."""
    client = Caller(key_of(_user(request.param)))
    client.raise_request_exception = False
    return client


def _user(role: str) -> User:
    if role == "member":
        known = Member.objects.first() or MemberFactory()
        return known.user
    from django.contrib.auth.models import Group

    user = User.objects.create_user(f"{role}-person", is_staff=role != "scraper")
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.mark.timeout(max(300, CASES))
def test_no_request_that_fits_the_document_breaks_the_server_or_the_document(
    fuzzer: Caller, origin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import schemathesis  # a second that the other tests need not wait
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [content_type_conformance, response_schema_conformance, status_code_conformance]
    monkeypatch.setattr("rest_framework.views.APIView.throttle_classes", [])
    broken: dict[str, str] = {}
    asked: Counter[int] = Counter()

    def ask(case: Any) -> None:
        answer = send(fuzzer, case)
        asked[answer.status_code] += 1
        if answer.status_code >= 500:
            broken.setdefault(case.operation.label, f"{answer.status_code} {_shown(case)}")
            return
        try:
            case.validate_response(answer, checks=checks)
        except BaseException as error:
            if not isinstance(error, BaseExceptionGroup | AssertionError):
                raise
            broken.setdefault(case.operation.label, f"{_told(error)} {_shown(case)}")

    api = schemathesis.openapi.from_dict(with_ids_that_exist(schema(fuzzer)))
    found = [one.ok() for one in api.get_all_operations() if SCHEMA not in one.ok().path]
    for operation in found:
        few = hypothesis_settings(
            max_examples=max(1, round(CASES / len(found))),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        few(seed(0)(given(case=operation.as_strategy())(ask)))()
    assert not broken, "\n\n".join(f"{label}: {why}" for label, why in broken.items())
    assert asked[200] + asked[403] > len(found) / 4
    assert asked[400]


def schema(client: Client) -> dict[str, Any]:
    return client.get(f"{API}schema/?format=json").json()


def with_ids_that_exist(known: dict[str, Any]) -> dict[str, Any]:
    """The schema without the keys, which the client has, and with ids of rows that are there. What
    has both a format and a pattern, an upload's name, is made up by its pattern alone."""
    for described in known["components"]["schemas"].values():
        for value in described.get("properties", {}).values():
            if "pattern" in value:
                value.pop("format", None)
    keys = {
        f"{API}{prefix}/": viewset.queryset.values_list(viewset.lookup_field, flat=True)
        for prefix, viewset, _name in (*router.registry, *control.registry)
    }
    for path, methods in known["paths"].items():
        for operation in methods.values():
            operation.pop("security", None)
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    there = keys.get(path.partition("{")[0], ())
                    parameter["schema"] = {"enum": [*map(str, there[:5]), "999"]}
                elif parameter["name"] == "cursor":  # else nearly every list were not there
                    parameter["schema"] = {"enum": ["", "", "", "nowhere"]}
    return known


def send(client: Client, case: Any) -> Any:
    """The made-up request, in this process; whatever it wrote is taken back."""
    from schemathesis.core.transport import Response

    call = {**case.as_transport_kwargs(), "cookies": None}
    made = requests.Request(**{**call, "url": f"http://testserver{call['url']}"}).prepare()
    path = (made.url or "").removeprefix("http://testserver")
    kind = made.headers.get("Content-Type", "")
    with transaction.atomic():
        answer: Any = client.generic(
            made.method or "GET", path, made.body or b"", kind, headers={"Accept": "*/*"}
        )
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        transaction.set_rollback(True)
    headers = {name.lower(): [value] for name, value in answer.items()}
    return Response(answer.status_code, headers, content, made, 0.0, False)


def _shown(case: Any) -> str:
    return str(case.as_curl_command())[:600]


def _told(error: BaseException) -> str:
    """The first of the failures, with where it is."""
    inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
    return f"{type(inner).__name__}: {inner}"[:700]
