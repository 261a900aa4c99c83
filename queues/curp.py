"""The CURP, by RENAPO's rules: its pattern, its date, its check digit. Pure."""

from __future__ import annotations

import re
from datetime import date

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

LENGTH = 18
ALPHABET = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"  # a character's place is its value
STATES = [
    "AS",
    "BC",
    "BS",
    "CC",
    "CH",
    "CL",
    "CM",
    "CS",
    "DF",
    "DG",
    "GR",
    "GT",
    "HG",
    "JC",
    "MC",
    "MN",
    "MS",
    "NE",
    "NL",
    "NT",
    "OC",
    "PL",
    "QR",
    "QT",
    "SL",
    "SP",
    "SR",
    "TC",
    "TL",
    "TS",
    "VZ",
    "YN",
    "ZS",
]
# Where, the pattern, and what must be there in words.
PARTS = (
    (slice(0, 4), "[A-Z][AEIOUX][A-Z]{2}", gettext_lazy("four letters, the second a vowel or X")),
    (slice(4, 10), "[0-9]{6}", gettext_lazy("the birth date as YYMMDD")),
    (slice(10, 11), "[HMX]", gettext_lazy("H, M or X")),
    (slice(11, 13), "|".join(STATES), gettext_lazy("a state's code, or NE")),
    (slice(13, 16), "[B-DF-HJ-NP-TV-Z]{3}", gettext_lazy("three consonants")),
    (slice(16, 17), "[0-9A-Z]", gettext_lazy("a digit or a letter")),
    (slice(17, 18), "[0-9]", gettext_lazy("the check digit")),
)


class InvalidCurp(Exception):
    """What was given is no CURP; the text says what is wrong with it."""


def check(curp: str) -> str:
    """The CURP as it is written: trimmed, in capitals. Raises InvalidCurp."""
    text = curp.strip()
    if len(text) != LENGTH:
        told = _("a CURP has %(length)d characters, this has %(count)d")
        raise InvalidCurp(told % {"length": LENGTH, "count": len(text)})
    if not text.isascii():  # before the capitals, which make an I of some other letters
        raise InvalidCurp(_("a CURP has letters from A to Z and digits only"))
    text = text.upper()
    _check_parts(text)
    _check_date(text)
    _check_digit(text)
    return text


def with_digit(first17: str) -> str:
    """The CURP that begins so, with its check digit."""
    return first17 + digit(first17)


def digit(first17: str) -> str:
    """The official check digit. Raises ValueError for a character that has no value."""
    total = sum(ALPHABET.index(sign) * (LENGTH - place) for place, sign in enumerate(first17))
    return str(-total % 10)


def _check_parts(text: str) -> None:
    for where, pattern, wanted in PARTS:
        if not re.fullmatch(pattern, text[where]):
            told = _("“%(part)s” (from character %(place)d) must be %(wanted)s")
            part = {"part": text[where], "place": where.start + 1, "wanted": wanted}
            raise InvalidCurp(told % part)


def _check_date(text: str) -> None:
    """The homoclave tells the century: a digit before 2000, a letter since."""
    century = 1900 if text[16].isdigit() else 2000
    year, month, day = (int(text[place : place + 2]) for place in (4, 6, 8))
    try:
        date(century + year, month, day)
    except ValueError as error:
        told = _("there is no %(year)d-%(month)02d-%(day)02d")
        born = {"year": century + year, "month": month, "day": day}
        raise InvalidCurp(told % born) from error


def _check_digit(text: str) -> None:
    if text[-1] != digit(text[:-1]):
        raise InvalidCurp(_("the check digit does not fit: a character is wrong"))
