"""Mongo stopped under load: how long after its return until both sides say the same, and that
nothing was lost or counted twice.

Real processes on PostgreSQL: the web, the demo's scrapers, the supervised clusters `brain` and
`scrapers`, which mirror through a proxy. People come on both sides all the while; G_SISEC is worked
by an old worker that knows only Mongo, by a way of its own. Then Mongo's server is killed in the
middle of a bulk write and started again on its files; its replies are cut; its door is shut.

Mongo is back when all goes through again. Both sides say the same when Mongo was told of all that
had changed by then, everything written there by then was taken in, and `syncmongo --verify` would
find no difference. That is looked at every second, while the load goes on.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from django.conf import settings
from django.db import connections
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, PyMongoError

from brain import shares
from orchestrator_site.demo.people import invented_curp
from orchestrator_site.demo.world import scraper_books
from orchestrator_site.models import Event
from queues.mirror import verifying
from queues.mirror.kinds import MAIN, MINI, NBC
from queues.models import (
    DistributionConfig,
    Generator,
    MirrorChange,
    MirrorState,
    NbcRecord,
    QueueEntry,
    SetAside,
)
from tests import faulty, mongo
from tests.bench import kills
from tests.bench.support import inside
from tests.bench.support.figure import Figure, Target, plain
from tests.factories import NbcRecordFactory
from tests.faulty import Fault, Proxy
from tests.machine import wait_for
from tests.mongo import Server

ROUNDS, QUICK_ROUNDS = 2, 1
MANY = 1000  # people whose documents are written at once
PEOPLE_A_SECOND = 3  # here; one a second in Mongo
SHARES = {"G_IAD": 30, "G_IAD2": 30, "G_MASTER": 25, "G_SISEC": 15}
BEFORE, AWAY, QUICK_AWAY = 10.0, 30.0, 10.0  # seconds
CUTS = 2  # replies, of each command
UP_WITHIN = 60.0
MET_WITHIN = 180.0
SAME_WITHIN = 300.0
ENDED_WITHIN = 400.0
THEIRS = 2400  # the first number of people who come in Mongo
GENERATOR = "G_SISEC"
COMPLETE = QueueEntry.Status.COMPLETE


def run(quick: bool) -> list[Figure]:
    with inside.on_postgresql() as environment:
        return inside.call(__name__, "measured", quick, environment=environment)


def measured(quick: bool) -> list[Figure]:
    seed = random.randrange(10_000)
    with mongo.running() as server, faulty.between(server.port) as proxy:
        settings.MONGODB_URI = server.uri  # our own looks: nothing goes wrong with them
        away = {"DATABASE_URL": os.environ["DATABASE_URL"], "MONGODB_URI": proxy.uri}
        with kills.stage(seed, **away) as here:
            DistributionConfig.objects.update(result_minutes=5)
            Generator.objects.filter(name=GENERATOR).update(worked_by=Generator.WorkedBy.MONGO)
            shares.put({level: SHARES for level in ("good", "normal", "bad")}, "the benchmark's")
            wait_for(lambda: MirrorState.current().read_at, "the mirror", UP_WITHIN)
            load = Load(here, server.uri)
            troubles = Troubles(random.Random(seed), server, proxy, QUICK_AWAY if quick else AWAY)
            with load.under_way():
                returns = list(_returns(load, troubles, QUICK_ROUNDS if quick else ROUNDS))
                load.is_adding = False
                _settle()
            note = f"seed {seed}: " + "; ".join(f"{what} {took:.1f} s" for what, took in returns)
            return [*_times(returns, note), *_faults(load, troubles)]


# --- What goes on all the while -------------------------------------------------------------------


class OldWorker:
    """Knows only Mongo: takes what is assigned, and writes how it ended when it looks again. What
    it was at when Mongo went away it ends when that is back."""

    def __init__(self, uri: str) -> None:
        client: MongoClient[Any] = MongoClient(
            uri, serverSelectionTimeoutMS=1000, socketTimeoutMS=10_000
        )
        mini, main = (client[settings.MONGODB_DATABASES[name]] for name in (MINI, MAIN))
        self.queue = mini[Generator.objects.get(name=GENERATOR).queue_collection]
        self.people = main[NBC[1]]
        self.told: dict[str, str] = {}  # what it said of each task

    def work(self) -> None:
        for task in list(self.queue.find({"Status": "Processing"}, {"_id": 1})):
            message = f"Semanas {len(self.told)}"
            result = {"Status": "Complete", "success": True, "Condition": 1, "Message": message}
            self.queue.update_one(task, {"$set": result})
            self.told[str(task["_id"])] = message
        for task in list(self.queue.find({"Status": "Assigned"}, {"_id": 1})):
            self.queue.update_one(
                {**task, "Status": "Assigned"}, {"$set": {"Status": "Processing"}}
            )

    def add_person(self, number: int) -> str:
        """Once, however often it is tried."""
        curp = invented_curp(number)
        with suppress(DuplicateKeyError):
            self.people.insert_one({"_id": ObjectId(f"{number:024x}"), "curp": curp})
        return curp


@dataclass
class Load:
    """People, here and there, and the old worker."""

    here: kills.Stage
    uri: str
    curps: list[str] = field(default_factory=list)
    worker: OldWorker = field(init=False)
    added: int = 0  # in Mongo
    is_adding: bool = True
    is_adding_there: bool = True  # who is new in Mongo is a difference until the next look
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.worker = OldWorker(self.uri)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        stopped = threading.Event()
        threads = [
            threading.Thread(target=self._every_second, args=(piece, stopped))
            for piece in (self._ours, self._theirs)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
        if self.errors:
            raise self.errors[0]

    def _every_second(self, piece: Callable[[], None], stopped: threading.Event) -> None:
        try:
            while not stopped.wait(1):
                with suppress(PyMongoError):
                    piece()
        except BaseException as error:
            self.errors.append(error)
        finally:
            connections.close_all()

    def _ours(self) -> None:
        if self.is_adding:
            self.curps += [self.here.add_person() for _number in range(PEOPLE_A_SECOND)]

    def _theirs(self) -> None:
        self.worker.work()
        if self.is_adding and self.is_adding_there:
            self.curps.append(self.worker.add_person(THEIRS + self.added))
            self.added += 1


# --- What goes wrong ------------------------------------------------------------------------------


@dataclass
class Troubles:
    """Each returns when all goes through again."""

    random: random.Random
    server: Server
    proxy: Proxy
    away: float  # seconds
    left: list[int] = field(default_factory=list)  # changes, untold when the server was killed

    def all(self) -> list[tuple[str, Callable[[], None]]]:
        return [("killed", self.kill), ("cut", self.cut), ("shut", self.shut)]

    def kill(self) -> None:
        """In the middle of a bulk write."""
        killed = threading.Event()
        pause = self.random.uniform(0, 0.1)

        def kill() -> None:
            time.sleep(pause)
            self.server.kill()
            killed.set()

        command = _change_many()
        self.proxy.when(command, kill)
        assert killed.wait(MET_WITHIN), f"no {command}"
        self.left.append(MirrorChange.objects.count())
        time.sleep(self.away)
        self.server.start()

    def cut(self) -> None:
        """Half of a reply arrives; the server did what it was asked."""
        commands = ("insert", "update", "find")
        before = len(self.proxy.met)
        for command in commands:
            self.proxy.fail(Fault.CUT, command, CUTS)
        wait_for(lambda: len(self.proxy.met) == before + len(commands) * CUTS, "cuts", MET_WITHIN)

    def shut(self) -> None:
        """The outside works on in Mongo."""
        self.proxy.refuse()
        time.sleep(self.away)
        self.proxy.serve_again()


def _change_many() -> str:
    """Many rows of people who are done; the command by which Mongo is told of them."""
    done = NbcRecord.objects.filter(rw_id="", status=NbcRecord.Status.FOUND)
    if done.exists():
        done.update(message=f"another word {time.time()}")
        return "update"
    rows = NbcRecordFactory.build_batch(MANY, status=NbcRecord.Status.FOUND)
    NbcRecord.objects.bulk_create(rows)
    return "insert"


# --- What is measured -----------------------------------------------------------------------------


def _returns(load: Load, troubles: Troubles, rounds: int) -> Iterator[tuple[str, float]]:
    for what, trouble in troubles.all() * rounds:
        time.sleep(BEFORE)
        trouble()
        load.is_adding_there = False
        yield what, _seconds_until_same(load)
        load.is_adding_there = True


def _seconds_until_same(load: Load) -> float:
    began = time.monotonic()
    newest = MirrorChange.objects.order_by("pk").values_list("pk", flat=True).last() or 0
    told = list(load.worker.told)

    def is_same() -> bool:
        untold = MirrorChange.objects.filter(pk__lte=newest, set_aside_at=None)
        unheard = QueueEntry.objects.filter(document_id__in=told).exclude(status=COMPLETE)
        return not untold.exists() and not unheard.exists() and not differences()

    until = began + SAME_WITHIN
    while not is_same() and time.monotonic() < until:
        time.sleep(1)
    return time.monotonic() - began


def differences(result: verifying.Comparison | None = None) -> list[verifying.Difference]:
    return list(verifying.differences(result or verifying.Comparison()))


def _settle() -> None:
    """Until everybody is looked up, and nothing is on its way."""
    until = time.monotonic() + ENDED_WITHIN
    while time.monotonic() < until:
        result = verifying.Comparison()
        left = NbcRecord.objects.exclude(status__in=NbcRecord.FINAL).count()
        left = left or MirrorChange.objects.count() or len(differences(result))
        if not left and not result.waiting.total():
            return
        time.sleep(1)


def _times(returns: list[tuple[str, float]], note: str) -> Iterator[Figure]:
    seconds = [took for _what, took in returns]
    yield plain("mirror_return.same_after", seconds, "s", note=note)
    yield plain("mirror_return.slowest", [max(seconds)], "s", Target("value", "<=", 60))


def _faults(load: Load, troubles: Troubles) -> list[Figure]:
    none = Target("value", "<=", 0)
    result = verifying.Comparison()
    left = differences(result)
    aside = SetAside.objects.count() + MirrorChange.objects.exclude(set_aside_at=None).count()
    lost, twice = _lost(load), _twice(load)
    untold, bulk = [min(troubles.left)], Target("value", ">=", MANY)
    return [
        plain("mirror_return.untold_at_the_kill", untold, "changes", bulk),
        plain("mirror_return.people", [len(load.curps)], "people"),
        plain("mirror_return.worked_in_mongo", [len(load.worker.told)], "tasks"),
        plain("mirror_return.compared", [result.compared.total()], "rows"),
        plain("mirror_return.differences", [len(left)], "", none, _shown(left)),
        plain("mirror_return.waiting", [result.waiting.total()], "rows", none),
        plain("mirror_return.lost", [len(lost)], "people and results", none, _shown(lost)),
        plain("mirror_return.twice", [len(twice)], "people and tasks", none, _shown(twice)),
        plain("mirror_return.set_aside", [aside], "documents", none),
    ]


def _lost(load: Load) -> list[str]:
    """People who are not found, here and in Mongo, each by one row; and the old worker's words."""
    found = NbcRecord.objects.filter(status=NbcRecord.Status.FOUND, curp__in=load.curps)
    here = Counter(found.values_list("curp", flat=True))
    found_there = {"imss.status": "s", "curp": {"$in": load.curps}}
    there = Counter(one["curp"] for one in load.worker.people.find(found_there, {"curp": 1}))
    people = [one for one in load.curps if (here[one], there[one]) != (1, 1)]
    tasks = QueueEntry.objects.filter(document_id__in=load.worker.told, condition=1)
    heard = dict(tasks.values_list("document_id", "message"))
    return people + [one for one, said in load.worker.told.items() if heard.get(one) != said]


def _twice(load: Load) -> list[str]:
    """People with more than one task, tasks that ended more than once, people whom two looked up
    at once, tasks that the old worker and a scraper had."""
    entries = Counter(QueueEntry.objects.values_list("curp", flat=True))
    kind = QueueEntry._meta.label_lower
    ends = Counter(
        Event.objects.filter(object_type=kind, new=COMPLETE).values_list("object_id", flat=True)
    )
    many = [one for counts in (entries, ends) for one, count in counts.items() if count > 1]
    at_once = [f"calls {first} and {second}" for first, second in scraper_books.twice_at_once()]
    called = {one.queue_document_id for one in scraper_books.calls()}
    return [*many, *at_once, *(called & load.worker.told.keys())]


def _shown(faults: list[Any]) -> str:
    return "; ".join(str(one) for one in faults[:5])
