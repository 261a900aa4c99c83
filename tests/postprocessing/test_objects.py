"""The door to the bucket, and the folder that stands in for it: one contract for both."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from postprocessing import objects
from postprocessing.objects import BucketRefused, ObjectError, ObjectStore
from tests import s3

KEY = "oficina-virtual/afinia/2025/03/07/12/Señor Ñ (1)+~&=%.json"
TEXT = b'{"numero_radicado": "RE1"}'
SHA256 = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture(scope="module")
def server() -> Iterator[s3.Server]:
    with s3.running() as server:
        yield server


@pytest.fixture
def bucket(server: s3.Server, settings: Any) -> ObjectStore:
    settings.STORAGES = server.storages()
    return objects.store()


@pytest.fixture(params=["bucket", "folder"])
def store(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> ObjectStore:
    if request.param == "bucket":
        return request.getfixturevalue("bucket")
    settings.STORAGES = folder_in(settings, tmp_path)
    return objects.store()


@pytest.fixture
def way(server: s3.Server, settings: Any) -> Iterator[s3.Faulty]:
    with s3.faulty(server) as way:
        settings.STORAGES = way.server.storages()
        yield way


def folder_in(settings: Any, path: Path) -> dict[str, Any]:
    local = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": path / "objects"},
    }
    return {**settings.STORAGES, "pqr": local}


def put(store: ObjectStore, key: str = KEY, content: Any = TEXT, sha256: str = SHA256) -> None:
    store.put(key, content, "application/json", sha256, case_id="the-case")


# --- What both do -------------------------------------------------------------------------------
def test_what_was_put_is_there(store: ObjectStore) -> None:
    assert store.head(KEY + "x") is None
    put(store)
    found = store.head(KEY)
    assert found is not None
    assert (found.key, found.size, found.sha256) == (KEY, len(TEXT), SHA256)


def test_a_key_that_was_put_again_has_the_new_content(store: ObjectStore) -> None:
    put(store, "again.json")
    put(store, "again.json", b"other", hashlib.sha256(b"other").hexdigest())
    found = store.head("again.json")
    assert found is not None
    assert found.size == 5


def test_what_begins_with_a_prefix_is_listed(store: ObjectStore) -> None:
    for key in ("list/a/1.json", "list/a/deep/2.json", "list/ab.json", "other.json"):
        put(store, key)
    assert {one.key for one in store.listed("list/a")} == {
        *("list/a/1.json", "list/a/deep/2.json", "list/ab.json")
    }
    assert {one.key for one in store.listed("list/a/")} == {"list/a/1.json", "list/a/deep/2.json"}
    assert list(store.listed("nothing/here/")) == []


@pytest.mark.parametrize("size", [0, objects.SMALL + 1, objects.LARGE + 1])
def test_a_file_is_sent_from_where_it_lies(store: ObjectStore, tmp_path: Path, size: int) -> None:
    path = tmp_path / "file.pdf"
    path.write_bytes(b"x" * size)
    sha256 = hashlib.sha256(b"x" * size).hexdigest()
    with path.open("rb") as file:
        put(store, f"sizes/{size}", file, sha256)
    found = store.head(f"sizes/{size}")
    assert found is not None
    assert (found.size, found.sha256) == (size, sha256)


# --- The bucket ---------------------------------------------------------------------------------
def test_an_object_has_its_type_and_case(bucket: ObjectStore) -> None:
    put(bucket)
    answer = requests.get(bucket.signed_url(KEY), timeout=5)
    assert answer.content == TEXT
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-amz-meta-case-id"] == "the-case"
    assert not requests.get(bucket.url(KEY), timeout=5).ok


def test_the_md5_of_an_object_in_one_piece_is_known(bucket: ObjectStore) -> None:
    put(bucket)
    found = bucket.head(KEY)
    assert found is not None
    assert found.etag == hashlib.md5(TEXT).hexdigest()


@pytest.mark.parametrize("wrong", [{"secret_key": "wrong"}, {"access_key": "nobody"}])
def test_refused_credentials_are_told_as_such(
    server: s3.Server, settings: Any, wrong: dict[str, str]
) -> None:
    settings.STORAGES = server.storages(**wrong)
    store = objects.store()
    for asked in (lambda: put(store), lambda: store.head(KEY), lambda: list(store.listed("a"))):
        with pytest.raises(BucketRefused, match="403"):
            asked()


def test_a_bucket_that_is_not_there_is_told_as_such(server: s3.Server, settings: Any) -> None:
    settings.STORAGES = server.storages(bucket_name="nowhere")
    store = objects.store()
    for asked in (lambda: put(store), lambda: list(store.listed("a"))):
        with pytest.raises(BucketRefused, match="nowhere: 404 NoSuchBucket"):
            asked()


@pytest.mark.parametrize(
    ("bucket_name", "url"),
    [
        ("ours", "https://ours.s3.eu-south-2.amazonaws.com/a/%C3%B1"),
        ("our.own", "https://s3.eu-south-2.amazonaws.com/our.own/a/%C3%B1"),
    ],
)
def test_an_address_at_amazon_is_of_the_bucket_s_region(
    server: s3.Server, settings: Any, bucket_name: str, url: str
) -> None:
    settings.STORAGES = server.storages(
        endpoint_url=None, region_name="eu-south-2", bucket_name=bucket_name
    )
    assert objects.store().url("a/ñ") == url
    assert objects.store().signed_url("a/ñ").startswith(f"{url}?")


def test_a_server_has_to_prove_its_name() -> None:
    context = objects._tls(True)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not objects._tls(False).check_hostname


SLOW_DOWN, BROKEN, CUT = s3.Refusal(503, "SlowDown"), s3.Refusal(500, "Internal"), s3.Refusal(0)


@pytest.mark.parametrize("refusal", [SLOW_DOWN, BROKEN, CUT])
def test_what_fails_for_a_while_is_tried_again(way: s3.Faulty, refusal: s3.Refusal) -> None:
    store = objects.store()
    way.plan(refusal, refusal)
    put(store, "tried.json")
    way.plan(refusal)
    assert store.head("tried.json") is not None
    assert len(way.asked) == 5


def test_a_large_object_is_tried_again_by_its_parts(way: s3.Faulty, tmp_path: Path) -> None:
    path = tmp_path / "large.pdf"
    path.write_bytes(b"x" * (objects.LARGE + 1))
    way.plan(SLOW_DOWN)
    with path.open("rb") as file:
        put(objects.store(), "large.pdf", file)
    assert [method for method, _path in way.asked].count("PUT") == 2


def test_it_is_not_tried_for_ever(way: s3.Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    way.plan(*[SLOW_DOWN] * 50)
    with pytest.raises(ObjectError, match="503 SlowDown: as planned") as refused:
        put(objects.store())
    assert refused.value.is_temporary
    assert not isinstance(refused.value, BucketRefused)
    assert len(way.asked) <= 2 * objects.TRIES


def test_what_will_never_work_is_not_tried_again(way: s3.Faulty) -> None:
    way.plan(s3.Refusal(400, "InvalidArgument"))
    with pytest.raises(ObjectError, match="InvalidArgument") as refused:
        put(objects.store())
    assert not refused.value.is_temporary
    assert len(way.asked) == 1


def test_connections_that_the_server_closed_meanwhile_do_no_harm(way: s3.Faulty) -> None:
    store = objects.store()
    put(store)
    way.plan(CUT)
    put(store)
    assert len(way.asked) == 3


# --- The folder ---------------------------------------------------------------------------------
def test_a_folder_says_that_it_is_none_of_a_bucket(settings: Any, tmp_path: Path) -> None:
    settings.STORAGES = folder_in(settings, tmp_path)
    store = objects.store()
    put(store)
    assert store.is_simulated
    assert (store.bucket, store.url(KEY), store.signed_url(KEY)) == ("", "", "")
    assert (tmp_path / "objects" / KEY).read_bytes() == TEXT
    assert len(list((tmp_path / "objects" / KEY).parent.iterdir())) == 1


def test_a_folder_keeps_nothing_outside_of_itself(settings: Any, tmp_path: Path) -> None:
    settings.STORAGES = folder_in(settings, tmp_path)
    with pytest.raises(ObjectError):
        put(objects.store(), "../outside.json")
    assert not (tmp_path / "outside.json").exists()
