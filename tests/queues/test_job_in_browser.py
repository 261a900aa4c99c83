"""A job on the cluster in a real browser: its pages, its results, and where it may not go."""

# ruff: noqa: F811 (fixtures are imported by name)

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from queues import live
from queues.job_worker import JobWorker
from queues.models import EvidenceFile, Job
from tests.factories import JobFactory
from tests.queues.test_browser_runs import PAGES, Site, served, site  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker(settings: Any) -> Iterator[JobWorker]:
    settings.EGRESS_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"),)
    found = JobWorker("w1")
    yield found
    found.close()


def test_a_job_leaves_its_log_its_picture_and_its_lines(worker: JobWorker, site: Site) -> None:
    PAGES["/job"] = "<h1>Invoices</h1>"
    opening = {"do": "navigate", "url": f"{site.url}/job"}
    hosts = [f"127.0.0.1:{site.server_port}"]
    good = JobFactory(steps=[opening, {"do": "screenshot", "name": "invoices"}], hosts=hosts)
    astray = JobFactory(steps=[opening], hosts=["example.com"])
    while worker.step():
        pass
    done = Job.objects.get(pk=good.pk)
    assert (done.status, done.error_log) == (Job.Status.DONE, "")
    names = {one["name"] for one in done.result["results"]}
    assert names == {"execution.log", "screenshot-0.png"}
    kept = EvidenceFile.objects.filter(case_id=good.case_id)
    assert {row.path for row in kept} == {f"{good.folder}/{name}" for name in names}
    assert any("navigate" in line for line in live.lines(done))
    refused = Job.objects.get(pk=astray.pk)
    assert (refused.status, refused.error_class) == (Job.Status.ERROR, "payload")
    assert refused.error_log.startswith("egress refused")
