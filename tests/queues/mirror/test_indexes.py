"""The indexes that documents are found by, and what the doctor says and does."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pymongo import MongoClient

from orchestrator_site import diagnosis
from orchestrator_site.diagnosis import BAD, OK, Finding
from queues.mirror import door, indexes, triggers
from queues.mirror.kinds import MINI, NBC
from queues.mirror.publishing import mark
from queues.models import MirrorChange, MirrorState, SetAside
from tests.distribution import generators

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture(autouse=True)
def server(mirrored: MongoClient[Any]) -> None:
    generators()
    MirrorState.went_well(read_at=timezone.now())


def found(system: str = "mongo") -> list[Finding]:
    return [one for one in diagnosis.mongo() if one.system == system]


def test_those_that_the_documents_name_are_made() -> None:
    assert len(indexes.missing()) == len(indexes.wanted())
    indexes.create(indexes.missing())
    assert indexes.missing() == []
    made = door.collection((MINI, "imss_queue_sisec")).index_information().values()
    assert [("Status", 1), ("created_at", 1)] in [one["key"] for one in made]
    made = door.collection((MINI, "dev_devices")).index_information().values()
    assert [("process", 1), ("online", 1), ("available", 1)] in [one["key"] for one in made]


def test_one_that_goes_further_serves_too() -> None:
    fields = [("imss.status", 1), ("_mirror.status", 1), ("curp", 1)]
    door.collection(NBC).create_index(fields)
    assert NBC not in [one.place for one in indexes.missing()]


def test_the_doctor_tells_what_is_missing_and_makes_it() -> None:
    (finding,) = found()
    assert (finding.state, finding.to_do) == (BAD, diagnosis.MEND)
    assert "imss_queue_sisec (Status, created_at)" in finding.found
    diagnosis.mend()
    assert [one.state for one in found()] == [OK]


def test_the_doctor_puts_triggers_back() -> None:
    diagnosis.mend()
    name = "mirror_of_nbc_nueva_base_central_update"
    assert triggers.missing("default") == []
    table = " ON nueva_base_central" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{table}")
    assert [one.state for one in found()] == [BAD, OK]
    diagnosis.mend()
    assert [one.state for one in found()] == [OK]


def test_the_doctor_tells_how_the_mirror_fares() -> None:
    assert [one.state for one in found("mirror")] == [OK]
    MirrorState.failed("NotPrimaryError: no primary")
    (finding,) = found("mirror")
    assert finding.state == BAD and "NotPrimaryError" in finding.found


def test_the_doctor_counts_what_waits_and_what_was_set_aside() -> None:
    MirrorChange.objects.all().delete()
    mark("nbc", ["one", "two"])
    MirrorChange.objects.filter(key="two").update(set_aside_at=timezone.now())
    SetAside.note(NBC[1], "one", "no CURP")
    depth, aside = found("mirror")
    assert depth.found.startswith("1 changes wait")
    assert aside.found == "set aside: 1 changes for Mongo, 1 documents of Mongo"
