"""Values as scripts and shells write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64

from queues.mirror.incoming.refusing import Unreadable
from queues.mirror.incoming.values import flag, moment, whole


@pytest.mark.parametrize("value", [3, 3.0, Int64(3), Decimal128("3"), Decimal128("3.00")])
def test_a_whole_number_is_one_however_it_was_written(value: Any) -> None:
    found = whole(value)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("value", [True, "3", 3.5, None, math.inf, [3]])
def test_what_is_no_whole_number_stays_as_it_is(value: Any) -> None:
    assert whole(value) is value


@pytest.mark.parametrize(
    ("value", "meant"), [(True, True), (1, True), (1.0, True), (0, False), (None, None)]
)
def test_a_flag_may_be_written_as_a_number(value: Any, meant: bool | None) -> None:
    assert flag({"online": value}, "online") is meant


@pytest.mark.parametrize("value", ["true", 2, [], {}, math.nan])
def test_a_flag_is_nothing_else(value: Any) -> None:
    with pytest.raises(Unreadable, match="online is neither true nor false"):
        flag({"online": value}, "online")


@pytest.mark.parametrize("text", ["2026-05-01 12:00:00", "2026-05-01T06:00:00-06:00"])
def test_a_date_may_be_written_as_a_text(text: str) -> None:
    assert moment(text) == datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("value", ["soon", 7, None])
def test_a_date_is_nothing_else(value: Any) -> None:
    assert moment(value) is None
