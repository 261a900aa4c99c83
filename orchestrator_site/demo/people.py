"""The demo's people to look up, each with what is expected of them, written down by hand.

What a scraper does with somebody is a name of `world.scrapers.BEHAVIOURS`. All are invented.
"""

from __future__ import annotations

from dataclasses import dataclass

from queues.curp import with_digit


@dataclass(frozen=True)
class ExpectedPerson:
    """How a person ends. `calls` is how often the scrapers were called for them, by their books;
    `conditions` are those of their tasks, in order."""

    status: str
    calls: int = 1
    conditions: tuple[int, ...] = (1,)
    attempts: int = 1
    told: str = ""  # a part of the text that staff read


@dataclass(frozen=True)
class DemoPerson:
    """`number` makes the CURP; the same number is the same person."""

    nbc_id: str
    number: int
    story: str
    behaviour: str
    expected: ExpectedPerson
    released_by_staff: bool = False
    at_night: bool = False  # comes when nobody works any more

    @property
    def curp(self) -> str:
        return invented_curp(self.number)


def invented_curp(number: int) -> str:
    """A valid CURP of nobody: born on the day that the number counts to."""
    month, day = number // 28 % 12 + 1, number % 28 + 1
    return with_digit(f"IIVE80{month:02d}{day:02d}HDFXXX{number // 336 % 10}")


FOUND = ExpectedPerson("s")
TWICE = ExpectedPerson("s", 2, (4, 1), 2)
# No attempt of theirs: the scraper was busy, or staff took the device back.
ANEW = ExpectedPerson("s", 2, (4, 1), 1)

ORDINARY = tuple(
    DemoPerson(f"nbc-{number:03d}", number, "an ordinary person", "found", FOUND)
    for number in range(1, 17)
)

PEOPLE = (
    *ORDINARY,
    DemoPerson(
        "nbc-101",
        101,
        "inconsistent data: refer to the subdelegación",
        "refer",
        ExpectedPerson("subdelegacion", conditions=(2,), told="subdelegación"),
    ),
    DemoPerson("nbc-102", 102, "never insured", "other", ExpectedPerson("nf", conditions=(3,))),
    DemoPerson("nbc-103", 103, "an error, found the second time", "error_then_found", TWICE),
    DemoPerson(
        "nbc-104",
        104,
        "the mail was changed today already",
        "mail_changed_today",
        ExpectedPerson("RETRY_AFTER_MIDNIGHT", conditions=(4,), attempts=0, told="modificado"),
    ),
    DemoPerson("nbc-105", 105, "the scraper is busy at first", "busy_once", ANEW),
    DemoPerson(
        "nbc-106",
        106,
        "refused as a bad request, twice",
        "bad_request",
        ExpectedPerson("failed", 2, (4, 4), 2, "Invalid CURP"),
    ),
    DemoPerson("nbc-107", 107, "the scraper breaks once", "error500_once", TWICE),
    DemoPerson(
        "nbc-108",
        108,
        "accepted, and never heard of again",
        "hang",
        ExpectedPerson("failed", 3, (4, 4, 4), 3, "no result by its deadline"),
    ),
    DemoPerson("nbc-109", 109, "the result comes late, but in time", "late", FOUND),
    DemoPerson(
        "nbc-110",
        110,
        "the call is cut off, nobody knows, nothing comes",
        "unanswered",
        ExpectedPerson("failed", 3, (4, 4, 4), 3, "no result by its deadline"),
    ),
    DemoPerson(
        "nbc-111",
        111,
        "the call is cut off, and the result comes all the same",
        "unanswered_but_found",
        FOUND,
    ),
    DemoPerson("nbc-112", 112, "the result is reported twice", "double_report", FOUND),
    DemoPerson(
        "nbc-113", 113, "a forged result is refused before the true one", "forged_then_found", FOUND
    ),
    DemoPerson(
        "nbc-114",
        114,
        "staff release the device: the late result is refused",
        "late",
        ANEW,
        released_by_staff=True,
    ),
    DemoPerson(
        "nbc-115",
        1,
        "the same CURP as another a moment ago",
        "found",
        ExpectedPerson("pending", 0, (), 0, "not before"),
    ),
    DemoPerson(
        "nbc-116",
        116,
        "comes when no generator takes people any more",
        "found",
        ExpectedPerson("pending", 0, (), 0, "G_SISEC"),
        at_night=True,
    ),
)
