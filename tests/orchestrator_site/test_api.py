"""The API's ground: who may ask what, one shape of errors, pages, files, and the schema."""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator_site.models import ApiKey, Event, Pause
from orchestrator_site.urls import router
from queues.models import EvidenceFile, TramiteTask
from tests.factories import OrganismoFactory, TramiteTaskFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
API = "/api/v1/"
FREE = {"TExp": 2, "Estado": 0, "UsuarioAsignado": None}
FUZZED = 2  # made-up requests to each endpoint

SignedIn = Callable[[str], Client]
Person = Callable[[str], User]
Caller = Callable[..., Client]
LISTS = [prefix for prefix, _viewset, _name in router.registry]


@pytest.fixture(autouse=True)
def nobody_has_asked_yet() -> None:
    """The throttle counts in a cache that outlives a test, by ids that come again."""
    cache.clear()


@pytest.fixture
def caller(person: Person) -> Caller:
    """A client with a key of a user of the role."""

    def make(role: str = "admin", scope: str = "admin", **values: Any) -> Client:
        user = values.pop("user", None) or person(role)
        row = ApiKey(name="script", user=user, scope=scope, **values)
        key = row.issue()
        row.save()
        return Client(headers={"Authorization": f"Bearer {key}"})

    return make


def bearer(key: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {key}"})


def post(client: Client, path: str, data: Any = None) -> Any:
    return client.post(f"{API}{path}", data or {}, content_type="application/json")


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The error, after a look at its shape."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"]
    assert set(body["error"]) - {"fields"} == {"code", "message"}
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    return body["error"]


# --- Keys -----------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_told() -> None:
    for path in [*(f"{prefix}/" for prefix in LISTS), "brain/", ""]:
        answer = Client().get(f"{API}{path}")
        problem(answer, 401, "not_authenticated")
        assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Api-Key"])
def test_a_key_opens_what_its_user_may_see(person: Person, scheme: str) -> None:
    row = ApiKey(name="script", user=person("viewer"))
    key = row.issue()
    row.save()
    client = Client(headers={"Authorization": f"{scheme} {key}"})
    assert client.get(f"{API}organismos/").status_code == 200


@pytest.mark.parametrize(
    "key", ["", "abc", "12345678.nope", "Ñandú", "a" * 5000, "' OR 1=1 --", "%00", "é\xff"]
)
def test_an_unknown_key_is_refused(key: str) -> None:
    problem(bearer(key).get(f"{API}organismos/"), 401, "authentication_failed")


def test_a_key_with_the_right_prefix_and_another_secret_is_refused(person: Person) -> None:
    row = ApiKey(name="script", user=person("viewer"))
    key = row.issue()
    row.save()
    for wrong in (f"{row.prefix}.{'x' * 43}", key[:-1], f"{key}x", row.prefix, row.digest):
        problem(bearer(wrong).get(f"{API}organismos/"), 401, "authentication_failed")


def test_an_expired_key_is_refused(caller: Caller) -> None:
    now = timezone.now()
    client = caller("viewer", expires_at=now - timedelta(seconds=1))
    problem(client.get(f"{API}organismos/"), 401, "authentication_failed")
    ApiKey.objects.update(expires_at=now + timedelta(minutes=1))
    assert client.get(f"{API}organismos/").status_code == 200


def test_the_key_of_a_disabled_user_is_refused(caller: Caller) -> None:
    client = caller("viewer")
    User.objects.update(is_active=False)
    problem(client.get(f"{API}organismos/"), 401, "authentication_failed")


def test_a_deleted_key_is_refused(caller: Caller) -> None:
    client = caller("viewer")
    ApiKey.objects.all().delete()
    problem(client.get(f"{API}organismos/"), 401, "authentication_failed")


def test_the_use_of_a_key_is_noted(caller: Caller) -> None:
    client = caller("viewer")
    assert ApiKey.objects.get().last_used_at is None
    client.get(f"{API}organismos/")
    assert timezone.now() - ApiKey.objects.get().last_used_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("role", "scope", "reads", "operates", "configures"),
    [
        ("viewer", "read", 200, 403, 403),
        ("viewer", "admin", 200, 403, 403),
        ("operator", "read", 200, 403, 403),
        ("operator", "operate", 200, 200, 403),
        ("operator", "admin", 200, 200, 403),
        ("admin", "read", 200, 403, 403),
        ("admin", "operate", 200, 200, 403),
        ("admin", "admin", 200, 200, 200),
    ],
)
def test_a_scope_narrows_what_the_role_may_do(
    caller: Caller, role: str, scope: str, reads: int, operates: int, configures: int
) -> None:
    client, row = caller(role, scope), OrganismoFactory()
    assert client.get(f"{API}organismos/{row.pk}/").status_code == reads
    asked = post(client, f"organismos/{row.pk}/pause/", {"reason": "maintenance"})
    assert asked.status_code == operates
    written = client.patch(
        f"{API}organismos/{row.pk}/", {"notes": "x"}, content_type="application/json"
    )
    assert written.status_code == configures
    row.refresh_from_db()
    assert row.paused == (operates == 200)
    assert row.notes == ("x" if configures == 200 else "")


def test_a_user_without_a_role_reads_nothing(caller: Caller) -> None:
    client = caller(user=User.objects.create_user("nobody"))
    for prefix in LISTS:
        problem(client.get(f"{API}{prefix}/"), 403, "permission_denied")


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_every_list_is_open_to_every_role(caller: Caller, role: str) -> None:
    client = caller(role)
    for path in [*(f"{prefix}/" for prefix in LISTS), "brain/", ""]:
        is_closed = path == "audit/" and role != "admin"  # it names people and what they did
        assert client.get(f"{API}{path}").status_code == (403 if is_closed else 200), path


def test_what_a_key_does_is_written_down_with_its_user_and_name(caller: Caller) -> None:
    row = OrganismoFactory()
    post(caller("operator", "operate"), f"organismos/{row.pk}/pause/", {"reason": "maintenance"})
    event = Event.objects.get()
    assert (event.actor_kind, event.actor) == ("api_key", "operator-person/script")
    assert event.reason == "maintenance"


def test_long_names_of_users_and_keys_fit_into_the_event(caller: Caller) -> None:
    user = User.objects.create_superuser("u" * 150)
    client = caller(user=user)
    ApiKey.objects.update(name="k" * 100)
    post(client, "brain/pause/", {"reason": "maintenance"})
    event, pause = Event.objects.get(), Pause.objects.get()
    event.clean_fields(exclude=["case_id", "old", "data"])
    pause.clean_fields()


# --- Sessions -------------------------------------------------------------------------------------


def test_a_session_may_use_the_api_with_its_csrf_token(person: Person) -> None:
    client, row = Client(enforce_csrf_checks=True), OrganismoFactory()
    client.force_login(person("operator"))
    path, data = f"organismos/{row.pk}/pause/", {"reason": "maintenance"}
    assert client.get(f"{API}organismos/").status_code == 200
    problem(post(client, path, data), 403, "permission_denied")
    client.get(reverse("admin:index"))
    token = client.cookies["csrftoken"].value
    answer = client.post(
        f"{API}{path}", data, content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert answer.status_code == 200
    assert Event.objects.get().actor == "operator-person"


# --- Errors ---------------------------------------------------------------------------------------


def test_every_error_has_the_same_shape(caller: Caller) -> None:
    client, row = caller(), OrganismoFactory()
    one = f"organismos/{row.pk}/"
    problem(client.get(f"{API}organismos/999/"), 404, "not_found")
    problem(client.get(f"{API}organismos/abc/"), 404, "not_found")
    problem(client.get(f"{API}organismos/{'9' * 40}/"), 404, "not_found")
    problem(client.delete(f"{API}tramites/"), 405, "method_not_allowed")
    problem(client.get(f"{API}{one}pause/"), 405, "method_not_allowed")
    problem(post(client, f"{one}resume/", {"reason": "maintenance"}), 409, "conflict")
    sent = client.post(f"{API}{one}pause/", "a=b", content_type="text/csv")
    problem(sent, 415, "unsupported_media_type")
    problem(client.get(f"{API}{one}", headers={"Accept": "text/html"}), 406, "not_acceptable")
    wrong = problem(post(client, f"{one}pause/", {"reason": "x"}), 400, "invalid")
    assert list(wrong["fields"]) == ["reason"]


@pytest.mark.parametrize("body", ["{", "", "nul", '{"reason": NaN}', b"\xff\xfe", "[" * 200_000])
def test_a_body_that_is_not_json_is_told_as_such(caller: Caller, body: str | bytes) -> None:
    client, row = caller(), OrganismoFactory()
    path = f"{API}organismos/{row.pk}/pause/"
    answer = client.post(path, body, content_type="application/json")
    assert problem(answer, 400, "parse_error" if body else "invalid")
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{\n "reason": }', "This is not JSON: see line 2, character 12."),
        (b'{"reason": "\xff"}', "holds NaN or Infinity."),
        ('{"reason": NaN}', "holds NaN or Infinity."),
    ],
)
def test_where_a_body_is_not_json_is_told_in_words_of_ours(
    caller: Caller, body: str | bytes, told: str
) -> None:
    answer = caller().post(f"{API}brain/pause/", body, content_type="application/json")
    message = problem(answer, 400, "parse_error")["message"]
    assert message.startswith("This is not JSON") and message.endswith(told)


def test_what_is_wrong_deep_in_a_field_is_told_with_its_place(caller: Caller) -> None:
    given = {"good": {"G_IAD": "many", "G_SISEC": 1.5}, "bad": 5}
    wanted = {"shares": given, "reason": "a test", "last_change": 0}
    answer = caller().put(f"{API}shares/", wanted, content_type="application/json")
    assert problem(answer, 400, "invalid")["fields"]["shares"] == [
        "good: G_IAD: A valid integer is required.",
        "good: G_SISEC: A valid integer is required.",
        'bad: Expected a dictionary of items but got type "int".',
    ]


@pytest.mark.once
@pytest.mark.parametrize("body", ["[]", "[1]", "null", '"because"', "7", '{"reason": ["abc"]}'])
@pytest.mark.parametrize(
    "path", ["organismos/{}/pause/", "brain/pause/", "brain/resume/", "reconciliations/{}/repair/"]
)
def test_a_reason_of_another_shape_is_refused(caller: Caller, path: str, body: str) -> None:
    client, row = caller(), OrganismoFactory()
    Pause.begin("brain", "maintenance")
    reconciliation = post(client, "reconciliations/run/").json()["id"]
    place = path.format(row.pk if "organismos" in path else reconciliation)
    answer = client.post(f"{API}{place}", body, content_type="application/json")
    problem(answer, 400, "invalid")


@pytest.mark.parametrize("reason", ["", "  ", "ab", " a ", "x" * 1001, "a\0bc", None])
def test_a_reason_has_at_least_three_letters(caller: Caller, reason: Any) -> None:
    row = OrganismoFactory()
    answer = post(caller(), f"organismos/{row.pk}/pause/", {"reason": reason})
    assert problem(answer, 400, "invalid")["fields"]["reason"]
    assert not Event.objects.exists()


def test_too_many_requests_are_told_in_the_same_shape(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rest_framework.throttling.UserRateThrottle.THROTTLE_RATES", {"user": "1/h"}
    )
    client = caller()
    client.get(f"{API}organismos/")
    answer = client.get(f"{API}organismos/")
    problem(answer, 429, "throttled")
    assert answer["Retry-After"]


# --- Pages and filters ----------------------------------------------------------------------------


def test_a_list_is_read_page_by_page_while_rows_are_added(caller: Caller) -> None:
    client = caller("viewer")
    there = {row.pk for row in TramiteTaskFactory.create_batch(5)}
    seen: list[int] = []
    path = f"{API}tramites/?page_size=2"
    while path:
        page = client.get(path).json()
        seen += [row["id"] for row in page["results"]]
        TramiteTaskFactory()
        path = page["next"]
    assert seen == sorted(there, reverse=True)


def test_a_page_has_at_most_a_thousand_rows(caller: Caller) -> None:
    client = caller("viewer")
    rows = [Event(object_type="x.y", object_id=str(n), actor_kind="system") for n in range(1001)]
    Event.objects.bulk_create(rows)
    assert len(client.get(f"{API}events/?page_size=999999").json()["results"]) == 1000
    assert len(client.get(f"{API}events/?page_size=x").json()["results"]) == 100


@pytest.mark.parametrize(
    "text", ["nonsense", "p=abc", "p=", "p=1&o=x", "p=9e9", "p=\0", "p=" + "9" * 30]
)
def test_a_cursor_that_is_not_ours_is_no_page(caller: Caller, text: str) -> None:
    TramiteTaskFactory()
    client = caller("viewer")
    for cursor in (base64.b64encode(text.encode()).decode(), text):
        answer = client.get(f"{API}tramites/", {"cursor": cursor})
        if answer.status_code != 200:
            problem(answer, 404, "not_found")


def test_filters_narrow_and_refuse_nonsense(caller: Caller) -> None:
    client = caller("viewer")
    wanted = TramiteTaskFactory(status="failed", error_class="site", worker="w")
    TramiteTaskFactory()
    for query in (
        {"status": "failed"},
        {"error_class": "site"},
        {"worker": "w"},
        {"resource_id": wanted.resource_id},
        {"case_id": str(wanted.case_id)},
        {"status": "failed", "site_id": wanted.site_id},
    ):
        answer = client.get(f"{API}tramites/", query).json()
        assert [row["id"] for row in answer["results"]] == [wanted.pk], query
    for name, value in [("status", "gone"), ("case_id", "x"), ("resource_id", "x")]:
        fields = problem(client.get(f"{API}tramites/", {name: value}), 400, "invalid")["fields"]
        assert list(fields) == [name]


@pytest.mark.long
@pytest.mark.parametrize("value", ["\0", "9" * 40, "1e400", "NaN", "[]", "Ñ", "-1", "", "None"])
def test_no_filter_of_any_list_breaks(caller: Caller, value: str) -> None:
    client = caller("admin")
    for prefix, viewset, _name in router.registry:
        for name in getattr(viewset, "filterset_fields", ()):
            answer = client.get(f"{API}{prefix}/", {name: value})
            assert answer.status_code in (200, 400), f"{prefix} {name}"


# --- Events and evidence --------------------------------------------------------------------------


def test_a_case_s_thread_is_read_over_the_api(caller: Caller) -> None:
    task = TramiteTaskFactory()
    task.cancel("a mistake")
    TramiteTaskFactory().cancel("another")
    answer = caller("viewer").get(f"{API}events/", {"case_id": str(task.case_id)}).json()
    (event,) = answer["results"]
    assert (event["old"], event["new"]) == ("pending", "cancelled")
    assert (event["reason"], event["object_id"]) == ("a mistake", str(task.pk))


def test_events_are_never_written_over_the_api(caller: Caller) -> None:
    TramiteTaskFactory().cancel("a mistake")
    pk = Event.objects.get().pk
    client = caller()
    for ask, path in [
        (client.post, "events/"),
        (client.put, f"events/{pk}/"),
        (client.patch, f"events/{pk}/"),
        (client.delete, f"events/{pk}/"),
    ]:
        answer = ask(f"{API}{path}", {}, content_type="application/json")
        assert answer.status_code in (403, 405)
    assert Event.objects.count() == 1


@pytest.fixture
def evidence(db: None) -> Callable[[str], EvidenceFile]:
    def make(name: str) -> EvidenceFile:
        path = default_storage.save(f"evidence/{name}", ContentFile(b"what was seen: \xc3\xb1"))
        return EvidenceFile.objects.create(
            case_id=TramiteTaskFactory().case_id,
            object_type="queues.tramitetask",
            object_id="1",
            attempt=1,
            kind="log",
            path=path,
            size=3,
            sha256="a" * 64,
        )

    return make


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("a.png", "image/png", True),
        ("a.JPG", "image/jpeg", True),
        ("a.pdf", "application/pdf", True),
        ("a.log", "text/plain; charset=utf-8", True),
        ("a.html", "application/octet-stream", False),
        ("a.svg", "application/octet-stream", False),
        ("a.zip", "application/octet-stream", False),
        ("plain", "application/octet-stream", False),
    ],
)
def test_evidence_is_shown_or_downloaded_but_never_run(
    signed_in: SignedIn, evidence: Any, name: str, kind: str, shown: bool
) -> None:
    answer = signed_in("viewer").get(reverse("evidence", args=[evidence(name).pk]))
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content).startswith(b"what was seen")
    assert answer["Content-Type"] == kind
    assert answer["Content-Disposition"].startswith("inline" if shown else "attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]


def test_evidence_whose_file_is_gone_is_not_found(signed_in: SignedIn, evidence: Any) -> None:
    row = evidence("a.log")
    default_storage.delete(row.path)
    client = signed_in("viewer")
    assert client.get(reverse("evidence", args=[row.pk])).status_code == 404
    assert client.get(reverse("evidence", args=[row.pk + 1])).status_code == 404


def test_evidence_is_for_those_who_may_see_it(client: Client, evidence: Any) -> None:
    address = reverse("evidence", args=[evidence("a.log").pk])
    assert client.get(address)["Location"].startswith(reverse("admin:login"))
    client.force_login(User.objects.create_user("new", password="x", is_staff=True))
    assert client.get(address).status_code == 403


def test_a_script_downloads_evidence_with_its_key(caller: Caller, evidence: Any) -> None:
    row = evidence("a.log")
    client = caller("viewer", "read")
    (listed,) = client.get(f"{API}evidence/", {"case_id": str(row.case_id)}).json()["results"]
    answer = client.get(listed["url"])
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content).startswith(b"what was seen")
    assert answer["X-Content-Type-Options"] == "nosniff"
    default_storage.delete(row.path)
    problem(client.get(listed["url"]), 404, "not_found")
    problem(Client().get(listed["url"]), 401, "not_authenticated")


# --- The schema and its pages ---------------------------------------------------------------------


@pytest.mark.once
def test_the_schema_is_valid_and_made_without_a_warning(tmp_path: Any) -> None:
    file = tmp_path / "schema.yml"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call_command("spectacular", "--fail-on-warn", "--validate", file=str(file))
    assert "/api/v1/tramites/{id}/cancel/" in file.read_text()


def schema(client: Client) -> dict[str, Any]:
    return json.loads(client.get(f"{API}schema/?format=json").content)


@pytest.mark.once
def test_the_schema_knows_every_endpoint_and_what_its_verbs_answer(client: Client) -> None:
    paths = schema(client)["paths"]
    for prefix in LISTS:
        assert "get" in paths[f"{API}{prefix}/"]
    answers = paths[f"{API}tramites/{{id}}/cancel/"]["post"]["responses"]
    assert answers["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/TramiteTask")
    assert "409" in answers


@pytest.mark.once
def test_the_schema_s_error_is_the_error_that_is_sent(client: Client, caller: Caller) -> None:
    known = schema(client)
    answer = known["paths"][f"{API}tramites/{{id}}/cancel/"]["post"]["responses"]["409"]
    name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    described = known["components"]["schemas"][name]
    task = TramiteTaskFactory(status=TramiteTask.Status.FAILED)
    sent = post(caller(), f"tramites/{task.pk}/cancel/", {"reason": "a mistake"})
    assert set(described["required"]) == set(problem(sent, 409, "conflict") and sent.json())


@pytest.mark.parametrize("name", ["docs", "redoc"])
def test_the_documentation_asks_no_other_host(client: Client, name: str) -> None:
    page = client.get(reverse(name))
    assert page.status_code == 200
    text = page.content.decode()
    addresses = re.findall(r"""(?:src|href|url\()\s*=?\s*["']?((?:https?:)?//[^"')\s>]+)""", text)
    assert [address for address in addresses if "testserver" not in address] == []
    own = re.findall(r"""(?:src|href)=["'](/static/[^"']+)""", text)
    assert own
    for address in own:
        assert client.get(address).status_code == 200, address


def test_the_admin_asks_no_other_host(admin_client: Client) -> None:
    for path in ("admin:index", "admin:brain_organismo_add", "admin:queues_tramitetask_changelist"):
        text = admin_client.get(reverse(path)).content.decode()
        loaded = re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:https?:)?//[^"'>]+""", text)
        assert loaded == [], path


def test_a_filter_that_there_is_not_is_refused(caller: Caller) -> None:
    client = caller()
    answer = client.get(f"{API}endpoints/", {"generator": "G_IAD", "page_size": "5"})
    fields = answer.json()["error"]["fields"]
    assert answer.status_code == 400 and list(fields) == ["generator"]
    assert "generator__name" in fields["generator"][0]
    assert client.get(f"{API}endpoints/", {"enabled": "true"}).status_code == 200


def test_a_body_over_the_limit_is_an_error_as_any_other(caller: Caller, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    body = {"reason": "x" * 200}
    answer = caller().post(f"{API}distribution/pause/", body, "application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_pausing_twice_is_a_conflict(caller: Caller) -> None:
    client = caller()
    for loop in ("brain", "distribution"):
        answers = [
            client.post(f"{API}{loop}/pause/", {"reason": "once"}, "application/json")
            for _time in range(2)
        ]
        assert [one.status_code for one in answers] == [200, 409]
