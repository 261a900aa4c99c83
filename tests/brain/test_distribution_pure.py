"""Slots, rotation and the choice, for any numbers: pure functions, no database."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.distribution import (
    UNUSABLE,
    Contender,
    Level,
    Why,
    choose,
    distribute,
    is_the_same_anew,
    level,
    passed_on,
    replayed,
    slots,
)

NAMES = ("G_IAD", "G_MASTER", "G_IAD2", "G_SISEC", "G_FIFTH")
names = st.lists(st.sampled_from(NAMES), unique=True, min_size=1)
share_tables = names.flatmap(
    lambda found: st.fixed_dictionaries({name: st.integers(0, 100) for name in found})
)
sizes = st.integers(0, 10_000)
counters = st.integers(0, 10**12)
remainders = st.sampled_from([*NAMES, None])


@st.composite
def contender(draw: st.DrawFn, name: str) -> Contender:
    return Contender(
        name=name,
        enabled=draw(st.booleans()),
        is_failing=draw(st.booleans()),
        is_reachable=draw(st.booleans()),
        online=draw(st.integers(0, 3)),
        free=draw(st.integers(0, 8)),
        share=draw(st.integers(0, 3)),
        slots=draw(st.integers(0, 12)),
        used=draw(st.integers(0, 14)),
    )


rotations = names.flatmap(lambda found: st.tuples(*(contender(name) for name in found)))


def remaining(one: Contender) -> int:
    return max(one.slots - one.used, 0)


# --- Levels ---------------------------------------------------------------------------------------


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_a_level_follows_the_thresholds(rate: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = level(rate, high, low)
    assert (found is Level.GOOD) == (rate >= high)
    assert (found is Level.BAD) == (rate < low)


def test_nothing_finished_is_normal_and_a_threshold_belongs_to_the_level_above() -> None:
    assert level(None, 80, 50) is Level.NORMAL
    assert [level(rate, 80, 50) for rate in (80, 79.99, 50, 49.99, 0)] == [
        Level.GOOD,
        Level.NORMAL,
        Level.NORMAL,
        Level.BAD,
        Level.BAD,
    ]


# --- Slots ----------------------------------------------------------------------------------------


@given(sizes, share_tables, remainders)
def test_slots_are_the_batch_and_never_negative(
    size: int, shares: dict[str, int], remainder: str | None
) -> None:
    found = slots(size, shares, remainder)
    assert list(found) == list(shares)
    assert sum(found.values()) == size
    assert min(found.values()) >= 0


@given(sizes, share_tables)
def test_a_share_is_floored_and_the_remainder_takes_what_is_left(
    size: int, shares: dict[str, int]
) -> None:
    remainder, *others = shares
    found = slots(size, shares, remainder)
    if sum(shares[name] for name in others) <= 100:
        assert [found[name] for name in others] == [size * shares[name] // 100 for name in others]


@given(sizes, share_tables)
def test_above_a_hundred_shares_are_scaled_down_in_proportion(
    size: int, shares: dict[str, int]
) -> None:
    remainder, *others = shares
    total = sum(shares[name] for name in others)
    found = slots(size, shares, remainder)
    if total > 100:
        for name in others:
            assert 0 <= size * shares[name] / total - found[name] < 1
        # Only what flooring leaves over: less than one for each of the others.
        assert found[remainder] < len(others)


def test_scaled_shares_that_divide_leave_nothing_for_the_remainder() -> None:
    shares = {"G_IAD": 75, "G_MASTER": 50, "G_IAD2": 100, "G_SISEC": 50}
    found = slots(100, shares, "G_IAD")
    assert found == {"G_IAD": 0, "G_MASTER": 25, "G_IAD2": 50, "G_SISEC": 25}


def test_the_documents_first_example() -> None:
    shares = {"G_IAD": 25, "G_MASTER": 25, "G_IAD2": 40, "G_SISEC": 10}
    assert slots(100, shares, "G_IAD") == shares
    assert slots(33, shares, "G_IAD") == {"G_IAD": 9, "G_MASTER": 8, "G_IAD2": 13, "G_SISEC": 3}


def test_where_nobody_takes_the_remainder_the_first_with_a_share_does() -> None:
    assert slots(10, {"G_MASTER": 0, "G_IAD2": 33, "G_SISEC": 33}, None) == {
        "G_MASTER": 0,
        "G_IAD2": 7,
        "G_SISEC": 3,
    }
    assert slots(10, {}, "G_IAD") == {}


# --- What passes on -------------------------------------------------------------------------------


@given(rotations)
def test_passing_on_keeps_the_sum_and_the_order(before: tuple[Contender, ...]) -> None:
    after = passed_on(before)
    assert sum(one.slots for one in after) == sum(one.slots for one in before)
    assert [replace(one, slots=0) for one in after] == [replace(one, slots=0) for one in before]


@given(rotations)
def test_only_the_unusable_give_and_only_the_usable_with_a_share_get(
    before: tuple[Contender, ...],
) -> None:
    heirs = [one for one in before if one.unusable() is None and (one.slots or one.share)]
    for old, new in zip(before, passed_on(before), strict=True):
        if new.slots > old.slots:
            assert old in heirs
        if new.slots < old.slots:
            assert old.unusable() in UNUSABLE
            assert new.slots == old.used
        if old.unusable() and heirs:
            assert remaining(new) == 0


@given(rotations)
def test_passing_on_twice_changes_nothing_more(before: tuple[Contender, ...]) -> None:
    once = passed_on(before)
    assert passed_on(once) == once


def test_slots_pass_to_the_next_in_rotation() -> None:
    first, second, third, last = (
        Contender(name, online=1, slots=10, used=used)
        for name, used in zip(NAMES, (0, 0, 0, 4), strict=False)
    )
    away = (replace(last, enabled=False), replace(second, is_failing=True))
    found = passed_on((first, away[1], third, away[0]))
    assert [one.slots for one in found] == [16, 0, 20, 4]


def test_a_share_too_small_for_a_slot_inherits_still() -> None:
    away = Contender("G_IAD", online=0, share=95, slots=10)
    small = Contender("G_SISEC", online=1, free=1, share=5, slots=0)
    assert small.why_not() is Why.LIMIT
    assert [one.slots for one in passed_on((away, small))] == [0, 10]
    assert passed_on((away, replace(small, share=0))) == (away, replace(small, share=0))


# --- The choice -----------------------------------------------------------------------------------


@given(counters, rotations)
def test_nobody_is_chosen_who_cannot(counter: int, rotation: tuple[Contender, ...]) -> None:
    choice = choose(counter, rotation)
    able = [one.name for one in rotation if one.why_not() is None]
    assert choice.chosen in able or (choice.chosen is None and not able)


@given(counters, rotations)
def test_the_choice_is_the_first_that_can_from_the_preferred_on(
    counter: int, rotation: tuple[Contender, ...]
) -> None:
    start = counter % len(rotation)
    turned = (*rotation[start:], *rotation[:start])
    choice = choose(counter, rotation)
    passed = [name for name, _why in choice.passed]
    assert passed == [one.name for one in turned[: len(passed)]]
    assert dict(choice.passed) == {one.name: one.why_not() for one in turned[: len(passed)]}
    if choice.chosen:
        assert turned[len(passed)].name == choice.chosen


@given(counters, rotations)
def test_a_choice_is_replayed_to_the_same_after_a_trip_through_json(
    counter: int, rotation: tuple[Contender, ...]
) -> None:
    choice = choose(counter, rotation)
    stored = json.loads(json.dumps(choice.as_dict()))
    assert replayed(stored) == choice
    if choice.chosen:
        assert is_the_same_anew(stored, choice.chosen)


@pytest.mark.parametrize(
    "changed",
    [
        {"counter": 1},
        {"passed": [["G_MASTER", "busy"]]},
        {"chosen": "G_MASTER"},
        {"contenders": []},
        {"passed": [["G_MASTER", "busy"]]},
        {"contenders": [{"name": "G_IAD", "wings": 2}]},
        {"counter": "many"},
    ],
)
def test_what_was_tampered_with_is_not_the_same_anew(changed: dict[str, object]) -> None:
    ready = [Contender(name, online=1, free=1, slots=1) for name in ("G_IAD", "G_MASTER")]
    stored = choose(0, ready).as_dict()
    assert is_the_same_anew(stored, "G_IAD")
    assert not is_the_same_anew(stored, "G_MASTER")
    assert not is_the_same_anew({**stored, **changed}, "G_IAD")
    assert not is_the_same_anew({}, "G_IAD")


def test_each_reason_has_its_word_and_the_lasting_ones_come_first() -> None:
    ready = Contender("G_IAD", online=1, free=1, slots=2, used=1)
    assert ready.why_not() is None
    for change, why in (
        ({"free": 0}, Why.BUSY),
        ({"free": 0, "used": 2}, Why.LIMIT),
        ({"slots": 0}, Why.NO_SHARE),
        ({"slots": 0, "online": 0}, Why.OFFLINE),
        ({"online": 0, "is_reachable": False}, Why.UNREACHABLE),
        ({"is_reachable": False, "is_failing": True}, Why.FAILING),
        ({"is_failing": True, "enabled": False}, Why.DISABLED),
    ):
        assert replace(ready, **change).why_not() is why


# --- Many people ----------------------------------------------------------------------------------


@given(st.integers(0, 60), counters, rotations)
def test_nobody_exceeds_a_limit_or_a_pool(
    people: int, counter: int, rotation: tuple[Contender, ...]
) -> None:
    choices = list(distribute(people, counter, rotation))
    taken = Counter(choice.chosen for choice in choices if choice.chosen)
    room = {one.name: 0 if one.unusable() else min(remaining(one), one.free) for one in rotation}
    assert all(taken[name] <= room[name] for name in taken)
    assert taken.total() == min(people, sum(room.values()))


@given(st.integers(0, 60), counters, rotations)
def test_it_ends_with_the_first_that_finds_nobody_and_the_counter_moves_by_one(
    people: int, counter: int, rotation: tuple[Contender, ...]
) -> None:
    choices = list(distribute(people, counter, rotation))
    assert all(choice.chosen for choice in choices[:-1])
    assert [choice.counter for choice in choices] == list(range(counter, counter + len(choices)))
    for before, after in pairwise(choices):
        assert after.contenders == before.afterwards()


@given(counters, st.integers(1, 40))
def test_with_room_for_all_the_rotation_is_even(counter: int, people: int) -> None:
    ready = [Contender(name, online=1, free=99, slots=99) for name in NAMES]
    chosen = [choice.chosen for choice in distribute(people, counter, ready)]
    assert chosen == [NAMES[(counter + step) % len(NAMES)] for step in range(people)]
