"""`main_config` in Mongo: shares and flags that both sides may set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from brain import main_config, sentences, shares
from orchestrator_site.models import Event
from queues.mirror import door, reading, session
from queues.mirror.kinds import CONFIG
from queues.mirror.publishing import Publisher
from queues.models import Generator, MirrorChange, SetAside, ShareChange
from tests.distribution import generators
from tests.queues.mirror.conftest import mirrored, mongo_uri, publisher
from tests.queues.mirror.outside import change, mirror, publish, put, seen

__all__ = ["mirrored", "mongo_uri", "publisher"]
pytestmark = [pytest.mark.django_db, pytest.mark.database]
KEY = "main_config"
GOOD = [20, 30, 35, 15]  # other than at first


@pytest.fixture
def both(publisher: Publisher) -> Iterator[Publisher]:
    """Both sides know of it."""
    generators()
    mirror(publisher)
    yield publisher


def document() -> dict[str, Any]:
    return seen(CONFIG, KEY)


def exported() -> dict[str, Any]:
    """What the document says of what is ours."""
    return {name: value for name, value in document().items() if name in main_config.export()}


def edit(**values: Any) -> None:
    change(CONFIG, KEY, **values)


def test_an_empty_mongo_gets_the_document(both: Publisher) -> None:
    assert exported() == main_config.export()
    assert reading.step() == 0
    assert not MirrorChange.objects.exists()


def test_shares_that_are_set_here_are_seen_there(both: Publisher) -> None:
    assert shares.switch(Generator.objects.get(name="G_SISEC"), False, "for the test")
    publish(both)
    assert not document()["sisec_enabled"]
    assert mirror(both) == 0
    assert exported() == main_config.export()


def test_shares_that_are_edited_there_count(both: Publisher) -> None:
    edit(distribution_good=[float(one) for one in GOOD], sisec_enabled=False)
    assert mirror(both) == 1
    assert main_config.export()["distribution_good"] == GOOD
    assert not Generator.objects.get(name="G_SISEC").enabled
    change_of = ShareChange.objects.first()
    assert change_of is not None
    assert (change_of.by, change_of.reason) == ("system:mongo", sentences.EDITED_IN_MONGO)
    assert exported() == main_config.export()
    assert mirror(both) == 0
    assert Event.objects.filter(new="shares set").count() == 1


def test_what_else_stands_in_the_document_is_left_alone(both: Publisher) -> None:
    edit(batch_size=77)
    assert mirror(both) == 0
    edit(distribution_good=GOOD)
    assert mirror(both) == 1
    assert document()["batch_size"] == 77


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"distribution_good": [40, 25, 25, 20]}, "sum to 110"),
        ({"distribution_bad": [50, 25, 25]}, "distribution_bad must be a list of 4"),
        ({"distribution_normal": "all"}, "distribution_normal must be a list of 4"),
        ({"distribution_good": [40, 25, 25, "10"]}, "whole number from 0 to 100"),
        ({"distribution_good": [40, 25, 24.5, 10.5]}, "whole number from 0 to 100"),
        ({"iad_enabled": "yes"}, "Neither true nor false: the flags of G_IAD"),
    ],
)
def test_an_edit_that_cannot_be_is_set_aside_and_overwritten(
    both: Publisher, values: dict[str, Any], reason: str
) -> None:
    before = main_config.export()
    edit(**values)
    assert mirror(both) == 0
    assert main_config.export() == before == exported()
    aside = SetAside.objects.get()
    assert (aside.collection, reason in aside.reason) == ("imss_config", True)
    assert mirror(both) == 0
    assert SetAside.objects.get().last_seen_at == aside.last_seen_at


def test_a_field_that_was_deleted_there_is_written_back(both: Publisher) -> None:
    change(CONFIG, KEY, unset="distribution_good")
    mirror(both)
    mirror(both)
    assert exported() == main_config.export()


def test_a_change_of_ours_that_is_not_told_yet_wins(both: Publisher) -> None:
    edit(sisec_enabled=False)
    row = Generator.objects.get(name="G_IAD")
    shares.switch(row, not row.enabled, "for the test")
    assert reading.step() == 0
    publish(both)
    assert Generator.objects.get(name="G_SISEC").enabled
    assert exported() == main_config.export()
    assert mirror(both) == 0


def test_a_document_that_was_there_first_is_an_edit(publisher: Publisher) -> None:
    generators()
    told = {**main_config.export(), "distribution_good": GOOD, "iad2_enabled": False}
    put(CONFIG, _id=KEY, **told, created_by="somebody")
    publish(publisher)  # all that is marked already does not touch it
    assert exported() == told
    assert mirror(publisher) == 1
    assert main_config.export() == told == exported()
    assert document()["created_by"] == "somebody"
    assert mirror(publisher) == 0


def test_an_impossible_document_that_was_there_first_is_overwritten(publisher: Publisher) -> None:
    """Such as one from before there was a fourth generator."""
    generators()
    before = main_config.export()
    put(CONFIG, _id=KEY, distribution_good=[50, 25, 25])
    mirror(publisher)
    mirror(publisher)
    assert SetAside.objects.get().collection == "imss_config"
    assert main_config.export() == before == exported()


def test_a_first_contact_takes_the_outsides_shares(
    mirrored: MongoClient[Any], publisher: Publisher
) -> None:
    generators()
    put(CONFIG, _id=KEY, **{**main_config.export(), "distribution_good": GOOD})
    assert session.begin(lambda: False)
    publish(publisher)
    assert main_config.export()["distribution_good"] == GOOD
    assert exported() == main_config.export()


def test_a_deleted_document_is_written_again(both: Publisher) -> None:
    door.collection(CONFIG).delete_one({"_id": KEY})
    mirror(both)
    assert exported() == main_config.export()
