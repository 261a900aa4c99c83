"""Jobs over the API: states, places, results, lines, verbs."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from orchestrator_site.models import Member
from queues.models import EvidenceFile, Job
from tests import s3
from tests.callers import (  # noqa: F401 (fixtures)
    Caller,
    caller,
    key_of,
    member,
    nobody_has_asked_yet,
    stranger,
)
from tests.factories import (
    JobFactory,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("queued", "queued"),
        ("held", "queued"),
        ("running", "running"),
        ("in_doubt", "running"),
        ("done", "done"),
        ("error", "error"),
        ("cancelled", "cancelled"),
    ],
)
def test_a_job_is_told_in_the_documented_states(
    caller: Caller, member: Member, own: str, told: str
) -> None:
    job = JobFactory(member=member, status=own)
    status = caller.read(f"jobs/{job.case_id}/status")
    assert (status["status"], status["detail"]) == (told, own)
    for state in ("queued", "running", "done", "error", "cancelled"):
        listed = caller.read(f"jobs?status={state}")["results"]
        assert bool(listed) == (state == told)


def test_a_waiting_job_tells_how_many_of_its_organisation_go_first(
    caller: Caller, member: Member
) -> None:
    JobFactory()  # another organisation's
    later, first = JobFactory(member=member), JobFactory(member=member, priority=5)
    last = JobFactory(member=member)
    places = [caller.read(f"jobs/{job.case_id}/status")["position"] for job in (first, later, last)]
    assert places == [0, 1, 2]


def test_jobs_are_filtered(caller: Caller, member: Member) -> None:
    wanted = JobFactory(member=member, provider_id="7")
    old = JobFactory(member=member, created_at=timezone.now() - timedelta(days=2))
    yesterday = (timezone.now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for query, found in (
        ("providerId=7", wanted),
        (f"createdBefore={yesterday}", old),
        (f"createdAfter={yesterday}", wanted),
    ):
        (row,) = caller.read(f"jobs?{query}")["results"]
        assert row["jobId"] == str(found.case_id), query
    wrong = caller.read("jobs?status=gone", 400)["error"]["fields"]
    assert wrong["status"] == [
        "“gone” is not a state; known are: queued, running, done, error, cancelled"
    ]
    caller.read("jobs?organisation=x", 400)


def test_results_are_read_by_addresses_that_need_no_key_and_end(
    caller: Caller, stranger: Caller, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = JobFactory(member=member, status="done", attempts=1, result={"values": {"total": "7"}})
    keep(job, "execution.log", b"it was done", "log")
    keep(job, "parsed-data.json", b'{"rows": [{"a": 1}]}', "download")
    answer = caller.read(f"jobs/{job.case_id}/results")
    assert answer["parsed"] == {"rows": [{"a": 1}]}
    assert answer["values"] == {"total": "7"}
    log = answer["results"][0]
    assert (log["name"], log["kind"], log["size"]) == ("execution.log", "log", 11)
    path = log["url"].removeprefix("http://testserver")
    assert b"".join(stranger.get(path).streaming_content) == b"it was done"
    assert stranger.get(f"{path}x").status_code == 404
    monkeypatch.setattr("orchestrator_site.api.files.LINK_LIFE", timedelta(0))
    assert stranger.get(path).status_code == 404


def opened(url: str) -> tuple[int, bytes]:
    """The status and the body that anybody gets there."""
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, b""


def test_the_bucket_s_own_addresses_need_no_key_and_end(
    caller: Caller, member: Member, settings: Any
) -> None:
    job = JobFactory(member=member, status="done", attempts=1)
    with s3.running() as server:
        options = {"location": "control-room", "signature_version": "s3v4"}  # as the settings do
        settings.STORAGES = {**settings.STORAGES, "default": server.storages(**options)["pqr"]}
        settings.AWS_ACCESS_KEY_ID = server.access_key
        keep(job, "execution.log", b"it was done", "log")
        keep(job, "factura.pdf", b"another's", "download")
        log, _pdf = caller.read(f"jobs/{job.case_id}/results")["results"]
        assert f"/control-room/{job.folder}/execution.log?" in log["url"]
        assert server.secret_key not in log["url"]
        assert opened(log["url"]) == (200, b"it was done")
        name, _mark, query = log["url"].partition("?")
        longer = query.replace("X-Amz-Expires=300", "X-Amz-Expires=3000")
        assert longer != query
        for changed in (
            name,
            f"{name.replace('execution.log', 'factura.pdf')}?{query}",
            f"{name}?{longer}",
        ):
            assert opened(changed) in ((400, b""), (403, b"")), changed  # 400: no signature
        with time_machine.travel(timezone.now() - timedelta(minutes=6)):
            (old, _pdf) = caller.read(f"jobs/{job.case_id}/results")["results"]
        assert opened(old["url"]) in ((400, b""), (403, b""))


def test_large_or_broken_parsed_data_is_left_to_its_file(caller: Caller, member: Member) -> None:
    for content in (b'"' + b"x" * 70_000 + b'"', b"{"):
        job = JobFactory(member=member, status="done")
        keep(job, "parsed-data.json", content, "download")
        answer = caller.read(f"jobs/{job.case_id}/results")
        assert answer["parsed"] is None
        assert len(answer["results"]) == 1


def keep(job: Job, name: str, content: bytes, kind: str) -> None:
    path = default_storage.save(f"{job.folder}/{name}", ContentFile(content))
    EvidenceFile.objects.create(
        case_id=job.case_id,
        object_type="queues.job",
        object_id=str(job.pk),
        attempt=1,
        kind=kind,
        path=path,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def test_a_job_s_lines_are_read_as_they_come(
    caller: Caller, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = JobFactory(member=member, status="running")
    written = ["one", "two", "three"]
    monkeypatch.setattr("queues.live.lines", lambda row, after=0: written[after:])
    first = caller.read(f"jobs/{job.case_id}/log")
    assert (first["lines"], first["next"], first["status"]) == (written, 3, "running")
    assert caller.read(f"jobs/{job.case_id}/log?after=2")["lines"] == ["three"]
    caller.read(f"jobs/{job.case_id}/log?after=-1", 400)


def test_a_job_is_cancelled_without_a_reason(caller: Caller, member: Member) -> None:
    job = JobFactory(member=member)
    assert caller.send(f"jobs/{job.case_id}/cancel")["status"] == "cancelled"
    refused = caller.send(f"jobs/{job.case_id}/cancel", {"reason": "again"}, 409)
    assert "“cancelled”" in refused["error"]["message"]


def test_no_job_is_known_by_anything_but_its_id(caller: Caller, member: Member) -> None:
    job = JobFactory(member=member)
    for known_as in (job.pk, "x", "0" * 36, "9" * 40, "-" * 36):
        caller.read(f"jobs/{known_as}/status", 404)
