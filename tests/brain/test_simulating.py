"""The simulator: the real reckoning over people who never were; nothing is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from brain import assigning, shares, simulating, standing
from brain.batches import as_set, reckoned
from brain.distribution import Level, distribute, passed_on
from brain.models import Decision, DistributionBatch
from brain.shares import InvalidShares
from brain.simulating import Line, spread
from brain.standing import Pool, Standing
from devices.models import Device
from queues.models import DistributionConfig, Endpoint, Generator, QueueEntry, ShareChange
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
LEVELS = ("good", "normal", "bad")
NAMES = ("G_IAD", "G_MASTER", "G_IAD2", "G_SISEC")
EVEN = dict.fromkeys(NAMES, 25)


def each(row: dict[str, int]) -> dict[str, dict[str, int]]:
    return {level: dict(row) for level in LEVELS}


@pytest.fixture
def pools(db: None) -> None:
    """An endpoint and devices for everybody of a whole batch."""
    for row in Generator.objects.all():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(60, fleet=row.fleet, process=row.process)


def counts(lines: tuple[Line, ...], name: str) -> dict[str, int]:
    return {line.name: getattr(line, name) for line in lines}


# --- The reckoning --------------------------------------------------------------------------------


def standings(rates: list[float | None], online: list[int]) -> list[Standing]:
    return [
        Standing(Generator(name=name), rate, Level.NORMAL, Pool(usable=usable), True)
        for name, rate, usable in zip(NAMES, rates, online, strict=True)
    ]


def one_by_one(people: int, fixed: dict, stand: list[Standing]) -> Counter[str]:
    """The same without a short cut: batch after batch, as long as anybody is taken."""
    rates = {one.generator.name: one.rate for one in stand if one.rate is not None}
    found, picked = reckoned(fixed, rates)
    counted: Counter[str] = Counter()
    while left := people - counted.total():
        fresh = [
            replace(one, slots=found[one.name], share=picked[one.name]["share"], free=left)
            for one in (each.contender for each in stand)
        ]
        choices = distribute(min(left, fixed["size"]), counted.total(), passed_on(fresh))
        taken = Counter(choice.chosen for choice in choices if choice.chosen)
        if not taken:
            break
        counted += taken
    return counted


@given(
    st.integers(0, 90),
    st.integers(1, 30),
    st.lists(st.none() | st.floats(0, 100), min_size=4, max_size=4),
    st.lists(st.integers(0, 1), min_size=4, max_size=4),
    st.fixed_dictionaries(
        {
            name: st.fixed_dictionaries({level: st.integers(0, 100) for level in LEVELS})
            for name in NAMES
        }
    ),
    st.sampled_from([*NAMES, None]),
)
def test_the_short_cut_comes_to_what_batch_after_batch_would(
    people: int,
    size: int,
    rates: list[float | None],
    online: list[int],
    table: dict[str, dict[str, int]],
    remainder: str | None,
) -> None:
    stand = standings(rates, online)
    fixed = {"size": size, "high": 80, "low": 50, "remainder": remainder, "shares": table}
    found = spread(people, fixed, stand)
    assert +found == one_by_one(people, fixed, stand)
    assert found.total() in (0, people)
    assert all(not found[o.generator.name] for o in stand if not o.pool.usable)


def test_a_batch_is_simulated_as_it_is_then_assigned(pools: None) -> None:
    """The simulator's word against the distributor's deed."""
    Generator.objects.filter(name="G_MASTER").update(enabled=False)
    wanted = each({"G_IAD": 40, "G_MASTER": 30, "G_IAD2": 20, "G_SISEC": 10})
    told = simulating.simulate(wanted, 100, timezone.now())
    shares.put(wanted, "as simulated")
    NbcRecordFactory.create_batch(100)
    done = assigning.run_round()
    assert Counter(one.generator_id for one in done.decisions) == +Counter(
        counts(told.lines, "proposed")
    )
    assert counts(told.lines, "proposed") == {
        "G_IAD": 40,
        "G_MASTER": 0,
        "G_IAD2": 50,
        "G_SISEC": 10,
    }


# --- Before saving --------------------------------------------------------------------------------


def test_the_last_day_is_told_as_it_was_and_as_it_would_be(pools: None) -> None:
    NbcRecordFactory.create_batch(30)
    assigning.run_round()
    happened = Counter(Decision.objects.values_list("generator_id", flat=True))
    told = simulating.simulate(each(EVEN), None, timezone.now())
    assert (told.people, told.is_invented, told.waiting) == (30, False, 0)
    assert counts(told.lines, "happened") == happened
    assert counts(told.lines, "today") == happened
    assert counts(told.lines, "proposed") == {"G_IAD": 8, "G_MASTER": 8, "G_IAD2": 7, "G_SISEC": 7}
    assert sum(line.difference for line in told.lines) == 0


def test_only_the_last_day_counts_and_closed_batches_too(pools: None) -> None:
    NbcRecordFactory.create_batch(4)
    assigning.run_round()
    shares.put(each(EVEN), "another batch")
    NbcRecordFactory.create_batch(3)
    assigning.run_round()
    now = timezone.now()
    assert DistributionBatch.objects.filter(is_open=False).count() == 1
    assert simulating.assigned_since(now - simulating.DAY).total() == 7
    old = Decision.objects.order_by("pk")[:2]
    Decision.objects.filter(pk__in=list(old.values_list("pk", flat=True))).update(
        created_at=now - timedelta(hours=25)
    )
    assert simulating.assigned_since(now - simulating.DAY).total() == 5
    DistributionBatch.objects.filter(is_open=False).update(closed_at=now - timedelta(hours=25))
    assert simulating.assigned_since(now - simulating.DAY).total() == 3


def test_the_rates_pick_the_rows(pools: None) -> None:
    NbcRecordFactory.create_batch(4)
    assigning.run_round()
    finish("G_IAD", success=False)
    table = {
        "good": {"G_IAD": 100, "G_MASTER": 0, "G_IAD2": 0, "G_SISEC": 0},
        "normal": EVEN,
        "bad": {"G_IAD": 0, "G_MASTER": 50, "G_IAD2": 25, "G_SISEC": 25},
    }
    Generator.objects.filter(name="G_IAD").update(takes_remainder=False)
    told = simulating.simulate(table, 100, timezone.now())
    # G_IAD's 0 is of the row bad, the others' 25 of normal; the first with a share has the rest.
    assert counts(told.lines, "proposed") == {
        "G_IAD": 0,
        "G_MASTER": 50,
        "G_IAD2": 25,
        "G_SISEC": 25,
    }


def finish(name: str, success: bool) -> None:
    entry = QueueEntry.objects.get(generator_id=name)
    entry.move("Complete", "a test", success=success, processed_at=timezone.now())


def test_who_cannot_be_used_now_gets_nobody(pools: None) -> None:
    Generator.objects.filter(name="G_IAD").update(status="fallando")
    Device.objects.filter(process="SISEC").update(online=False)
    Endpoint.objects.filter(generator__name="G_MASTER").update(enabled=False)
    told = simulating.simulate(each(EVEN), 1000, timezone.now())
    assert counts(told.lines, "proposed") == {
        "G_IAD": 0,
        "G_MASTER": 0,
        "G_IAD2": 1000,
        "G_SISEC": 0,
    }
    Generator.objects.update(enabled=False)
    told = simulating.simulate(each(EVEN), 1000, timezone.now())
    assert told.waiting == 1000


def test_nothing_is_written(pools: None) -> None:
    before = shares.current()
    with CaptureQueriesContext(connection) as queries:
        simulating.simulate(each(EVEN), None, timezone.now())
    writing = [q["sql"] for q in queries if not q["sql"].startswith("SELECT")]
    assert [sql for sql in writing if "imss_config" not in sql and "SAVEPOINT" not in sql] == []
    assert shares.current() == before
    assert not ShareChange.objects.exists()
    assert not DistributionBatch.objects.exists()


def test_shares_that_cannot_be_are_not_simulated() -> None:
    with pytest.raises(InvalidShares, match="sum to 104"):
        simulating.simulate({**each(EVEN), "bad": {**EVEN, "G_IAD": 29}}, 100, timezone.now())


def test_a_million_people_are_simulated_at_once(pools: None) -> None:
    DistributionConfig.current()
    told = simulating.simulate(each(EVEN), 1_000_000, timezone.now())
    assert set(counts(told.lines, "proposed").values()) == {250_000}


# --- How the generators stand ---------------------------------------------------------------------


def test_standing_is_what_the_distributor_sees(pools: None) -> None:
    """The same contenders as an assignment stores, but for shares and slots."""
    Device.objects.filter(process="IAD").update(status="draining")
    Device.objects.filter(pk__in=Device.objects.filter(process="SISEC")[:5].values("pk")).update(
        status="quarantined"
    )
    seen = [one.contender for one in standing.of_all(DistributionConfig.current(), timezone.now())]
    NbcRecordFactory.create_batch(100)
    (first, *_others) = assigning.run_round().decisions
    stored = first.choice["contenders"]
    # A round looks at no more free devices than it has people for, and slots are the batch's.
    own = {"share": 0, "slots": 0, "used": 0, "free": 0}
    assert [{**asdict(one), **own} for one in seen] == [{**kept, **own} for kept in stored]


def test_standing_costs_few_statements(pools: None) -> None:
    config = DistributionConfig.current()
    with CaptureQueriesContext(connection) as queries:
        stand = standing.of_all(config, timezone.now())
        assert [one.pool.usable for one in stand] == [60] * 4
    assert len(queries) <= 4
    assert as_set(config, [one.generator for one in stand])["remainder"] == "G_IAD"
