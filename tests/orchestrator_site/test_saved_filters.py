"""Filters of lists under a name: on the pages, and in the API."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from orchestrator_site import roles, saved_filters
from orchestrator_site.models import SavedFilter
from tests.callers import Caller, key_of

pytestmark = pytest.mark.django_db
LIST = "/admin/queues/tramitetask/"
PAGE = "queues.tramitetask"


def person(name: str, role: str) -> User:
    user = User.objects.create_user(name, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.fixture
def viewer() -> User:
    return person("viewer", roles.VIEWER)


@pytest.fixture
def operator() -> User:
    return person("operator", roles.OPERATOR)


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def save(user: User, name: str = "Bad ones", **values: str) -> None:
    posted = {"page": PAGE, "name": name, "query": "?status__exact=failed&p=3", **values}
    answer = browser(user).post("/admin/saved-filters/", posted)
    assert answer.status_code == 302, answer.content


def test_a_filter_that_is_saved_leads_back_to_the_rows_from_the_first_page(viewer: User) -> None:
    save(viewer)
    page = browser(viewer).get(LIST).content.decode()
    assert 'href="?status__exact=failed"' in page
    assert "Bad ones" in page
    assert "p=3" not in page


def test_the_page_offers_to_save_what_is_filtered_and_only_that(viewer: User) -> None:
    client = browser(viewer)
    assert "Save this filter" not in client.get(LIST).content.decode()
    filtered = client.get(f"{LIST}?status__exact=failed").content.decode()
    assert "Save this filter" in filtered
    assert "Clear filters" in filtered
    save(viewer)
    saved = client.get(f"{LIST}?status__exact=failed").content.decode()
    assert "Save this filter" not in saved
    assert 'aria-current="true"' in saved


def test_what_an_operator_shares_everybody_sees_and_only_its_owner_deletes(
    viewer: User, operator: User
) -> None:
    save(operator, is_shared="on")
    assert "Bad ones" in browser(viewer).get(LIST).content.decode()
    row = SavedFilter.objects.get()
    address = f"/admin/saved-filters/{row.pk}/delete/"
    assert browser(viewer).post(address).status_code == 403
    assert browser(operator).post(address).status_code == 302
    assert not SavedFilter.objects.exists()


def test_a_viewer_keeps_filters_for_itself_whatever_it_sends(viewer: User, operator: User) -> None:
    save(viewer, is_shared="on")
    assert not SavedFilter.objects.get().is_shared
    assert "Bad ones" not in browser(operator).get(LIST).content.decode()
    address = f"/admin/saved-filters/{SavedFilter.objects.get().pk}/delete/"
    assert browser(operator).post(address).status_code == 404


def test_the_same_name_again_changes_the_filter(viewer: User) -> None:
    save(viewer)
    save(viewer, query="?status__exact=held")
    assert SavedFilter.objects.get().query == "status__exact=held"


def test_there_is_no_filter_of_a_list_that_one_may_not_see(viewer: User) -> None:
    for page in ("auth.user", "no.such", "nothing"):
        posted = {"page": page, "name": "x", "query": "a=b"}
        assert browser(viewer).post("/admin/saved-filters/", posted).status_code == 403
    assert not SavedFilter.objects.exists()


def test_a_person_has_so_many_and_no_more(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_filters, "MOST", 1)
    save(viewer)
    save(viewer, name="Another")
    save(viewer, query="?status__exact=held")
    assert [row.name for row in SavedFilter.objects.all()] == ["Bad ones"]


def test_a_filter_that_is_too_long_is_refused_in_words(viewer: User) -> None:
    save(viewer, query=f"?q={'x' * 3000}")
    assert not SavedFilter.objects.exists()


def test_a_script_keeps_lists_and_deletes_filters(operator: User, viewer: User) -> None:
    script = Caller(key_of(operator, scope="operate"))
    sent = {"page": PAGE, "name": "Mine", "query": "?status__exact=failed&p=2", "is_shared": True}
    row = script.send("saved-filters/", sent, status=201)
    assert (row["query"], row["user"], row["is_shared"]) == (
        "status__exact=failed",
        "operator",
        True,
    )
    assert [one["id"] for one in Caller(key_of(viewer)).read("saved-filters/")["results"]] == [
        row["id"]
    ]
    Caller(key_of(viewer, name="other")).ask("DELETE", f"saved-filters/{row['id']}/", status=403)
    script.ask("DELETE", f"saved-filters/{row['id']}/", status=204)
    assert script.read("saved-filters/")["results"] == []


@pytest.mark.parametrize(
    "wrong", [{"page": "auth.group"}, {"query": "?p=3"}, {"name": ""}, {"is_shared": True}]
)
def test_the_api_says_which_field_is_wrong(viewer: User, wrong: dict[str, object]) -> None:
    sent = {"page": PAGE, "name": "x", "query": "a=b", **wrong}
    body = Caller(key_of(viewer)).send("saved-filters/", sent, status=400)
    assert list(body["error"]["fields"]) == list(wrong)


def test_a_key_that_reads_keeps_nothing_and_a_stranger_sees_nothing(viewer: User) -> None:
    script = Caller(key_of(viewer, scope="read"))
    script.send("saved-filters/", {"page": PAGE, "name": "x", "query": "a=b"}, status=403)
    assert script.read("saved-filters/")["results"] == []
    Caller().read("saved-filters/", status=401)
