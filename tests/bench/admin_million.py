"""The control room beside 1,000,000 tasks and 5,000,000 events, against 1,000, on PostgreSQL.

Two databases of one server. Each page is asked for in turns of either, as the administrator, by
Django's test client in one process: its time is that of the application and its statements. Pages
that no ratio speaks of, because they take hardly longer, do not count: see FLOOR.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection

from tests.bench.support import browsing, inside, million
from tests.bench.support.browsing import Reader, Visit
from tests.bench.support.figure import Figure, Target, plain

FEW, MANY, TIMES = 1000, 1_000_000, 5
QUICK_MANY, QUICK_TIMES = 100_000, 3
RATIO, QUERIES, SLOWEST = 1.5, 12, 300.0  # milliseconds
BOARD = "menu "  # what is neither a list nor the overview may ask more often
FLOOR = 0.005  # seconds: what is less is no difference
SMALL, LARGE = "bench_small", "bench_large"
WORST = 5  # of them are named


@dataclass(frozen=True)
class Page:
    """What it took in the long tables and in the short ones."""

    name: str
    many: list[Visit]
    few: list[Visit]

    @property
    def ratio(self) -> float:
        """The median of the turns: what disturbs the machine disturbs both sides of one."""
        pairs = zip(self.many, self.few, strict=True)
        return statistics.median(
            1.0 if many.seconds - few.seconds < FLOOR else many.seconds / few.seconds
            for many, few in pairs
        )

    @property
    def milliseconds(self) -> float:
        return 1000 * statistics.median(visit.seconds for visit in self.many)

    @property
    def queries(self) -> int:
        return max(len(visit.statements) for visit in (*self.many, *self.few))

    @property
    def slowest(self) -> float:
        """Its slowest statement, of the visit in the middle, in milliseconds."""
        return 1000 * statistics.median(max(visit.statements, default=0) for visit in self.many)

    @property
    def is_good(self) -> bool:
        is_asking_much = self.queries > QUERIES and not self.name.startswith(BOARD)
        return self.ratio <= RATIO and not is_asking_much and self.slowest <= SLOWEST

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.milliseconds:.0f} ms, ratio {self.ratio:.2f},"
            f" {self.queries} queries, the slowest {self.slowest:.0f} ms"
        )


def run(quick: bool) -> list[Figure]:
    with inside.on_postgresql() as environment:
        return inside.call(__name__, "measured", quick, environment=environment)


def measured(quick: bool) -> list[Figure]:
    many, times = (QUICK_MANY, QUICK_TIMES) if quick else (MANY, TIMES)
    for name, total in ((SMALL, FEW), (LARGE, many)):
        _create(name, total)
    pages = visited(times)
    for page in pages:
        if not page.is_good:
            print(page, file=sys.stderr)
    note = f"{len(pages)} pages beside {many:,} tasks and {5 * many:,} events, against {FEW:,}"
    return [
        plain(
            "admin_million.pages_that_fail", [_failing(pages)], "pages", Target("value", "<=", 0)
        ),
        _worst("ratio", {str(one): one.ratio for one in pages}, "x", RATIO, note),
        _worst(
            "queries",
            {str(one): one.queries for one in pages if not one.name.startswith(BOARD)},
            "queries",
            QUERIES,
        ),
        _worst("slowest_query", {str(one): one.slowest for one in pages}, "ms", SLOWEST),
    ]


def visited(times: int) -> list[Page]:
    """Every page, so many times in either database."""
    readers: dict[str, Reader] = {}
    addresses: dict[str, dict[str, str]] = {}
    for name in (SMALL, LARGE):
        with browsing.in_database(name):
            readers[name] = Reader(million.ADMIN)
            addresses[name] = browsing.pages()
    visits: dict[str, dict[str, list[Visit]]] = {
        page: {SMALL: [], LARGE: []} for page in addresses[LARGE]
    }
    for turn in range(times + 1):
        for name in (SMALL, LARGE) if turn % 2 else (LARGE, SMALL):
            with browsing.in_database(name):
                for page, address in addresses[LARGE].items():
                    # Where there is no such page, against the list as it begins.
                    whole = address.partition("?")[0]
                    visit = readers[name].visit(addresses[name].get(page, whole))
                    if turn:  # what only the first use costs
                        visits[page][name].append(visit)
    return [Page(page, found[LARGE], found[SMALL]) for page, found in visits.items()]


def _failing(pages: list[Page]) -> float:
    return float(sum(not page.is_good for page in pages))


def _worst(
    name: str, found: Mapping[str, float], unit: str, bound: float, note: str = ""
) -> Figure:
    worst = sorted(found.items(), key=lambda item: item[1], reverse=True)[:WORST]
    told = "; ".join(filter(None, [note, *(page for page, _value in worst)]))
    target = Target("value", "<=", bound)
    return plain(f"admin_million.{name}", [worst[0][1]], unit, target, told)


def _create(name: str, total: int) -> None:
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {connection.settings_dict['NAME']}")
    with browsing.in_database(name):
        million.fill(total)
