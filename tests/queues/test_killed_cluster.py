"""Clusters killed in the midst of a distribution: a short run of the benchmark `kills`."""

from __future__ import annotations

import pytest

from tests.bench.support import inside

pytestmark = pytest.mark.long

BACK_WITHIN = 30.0  # seconds
VICTIMS = ("main of scrapers", "distributor", "caller")


def test_the_service_is_back_by_itself_and_nothing_is_lost() -> None:
    with inside.machine() as machine:
        told = inside.call("tests.bench.kills", "few", *VICTIMS, environment=machine.environment)
    backs = {name: told.pop(name) for name in VICTIMS}
    assert {name: back for name, back in backs.items() if back > BACK_WITHIN} == {}
    assert told.pop("kills.people") > len(VICTIMS)
    told.pop("kills.unended")  # whoever waits for a result that is not due yet
    assert set(told.values()) == {0}, told
