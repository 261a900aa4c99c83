"""The CURP: what is one, and what is wrong with what is none."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from queues.curp import ALPHABET, STATES, InvalidCurp, check, digit, with_digit

# RENAPO's own specimens.
SPECIMENS = ("HEGG560427MVZRRL04", "SABC560626MDFLRN01")
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"


@st.composite
def curps(draw: st.DrawFn) -> str:
    born = draw(st.dates(date(1900, 1, 1), date(2099, 12, 31)))
    letters = [draw(st.sampled_from(signs)) for signs in (CAPITALS, "AEIOUX", CAPITALS, CAPITALS)]
    consonants = draw(st.text(CONSONANTS, min_size=3, max_size=3))
    homoclave = draw(st.sampled_from("0123456789" if born.year < 2000 else CAPITALS))
    sex, state = draw(st.sampled_from("HMX")), draw(st.sampled_from(STATES))
    return with_digit(f"{''.join(letters)}{born:%y%m%d}{sex}{state}{consonants}{homoclave}")


@pytest.mark.parametrize("specimen", SPECIMENS)
def test_the_official_specimens_are_good(specimen: str) -> None:
    assert check(specimen) == specimen


def test_it_is_trimmed_and_in_capitals() -> None:
    assert check("  hegg560427mvzrrl04\t\n") == "HEGG560427MVZRRL04"


@given(curps())
def test_every_curp_that_is_made_by_the_rules_is_good(curp: str) -> None:
    assert check(curp) == curp
    assert check(f" {curp.lower()} ") == curp


@given(curps(), st.integers(0, 17), st.sampled_from(ALPHABET))
def test_a_character_that_was_mistyped_is_noticed(curp: str, place: int, sign: str) -> None:
    """But for the weights that have a factor in common with ten: the digit cannot see all there."""
    changed = curp[:place] + sign + curp[place + 1 :]
    assume(changed != curp)
    difference = (ALPHABET.index(sign) - ALPHABET.index(curp[place])) * (18 - place)
    assume(place == 17 or difference % 10)
    with pytest.raises(InvalidCurp):
        check(changed)


@given(st.text(max_size=20) | st.from_regex(r"[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9]{2}"))
def test_any_text_is_either_a_curp_or_told_what_is_wrong(text: str) -> None:
    try:
        found = check(text)
    except InvalidCurp as error:
        assert str(error)
    else:
        assert found.isascii() and len(found) == 18 and digit(found[:17]) == found[17]


@pytest.mark.parametrize(
    ("first17", "told"),
    [
        ("1EXX900101HDFXXX0", "from character 1"),
        ("XBXX900101HDFXXX0", "the second a vowel or X"),
        ("ÑEXX900101HDFXXX0", "A to Z"),
        ("XEXX9001A1HDFXXX0", "YYMMDD"),
        ("XEXX900101ZDFXXX0", "H, M or X"),
        ("XEXX900101HZZXXX0", "a state's code"),
        ("XEXX900101HDFAXX0", "three consonants"),
        ("XEXX900101HDFXXXÑ", "A to Z"),
        ("XEXX901301HDFXXX0", "there is no 1990-13-01"),
        ("XEXX900230HDFXXX0", "there is no 1990-02-30"),
        ("XEXX000000HDFXXXA", "there is no 2000-00-00"),
    ],
)
def test_what_is_wrong_is_told(first17: str, told: str) -> None:
    with pytest.raises(InvalidCurp, match=told):
        check(with_digit(first17))


def test_the_homoclave_tells_the_century() -> None:
    """2000 had a 29th of February, 1900 had none."""
    assert check(with_digit("XEXX000229HNEXXXA"))
    with pytest.raises(InvalidCurp, match="there is no 1900-02-29"):
        check(with_digit("XEXX000229HNEXXX0"))


def test_a_wrong_digit_is_told() -> None:
    with pytest.raises(InvalidCurp, match="check digit"):
        check("HEGG560427MVZRRL05")


@pytest.mark.parametrize("text", ["", "HEGG", SPECIMENS[0] + "1"])
def test_another_length_is_told(text: str) -> None:
    with pytest.raises(InvalidCurp, match=f"this has {len(text)}"):
        check(text)


@pytest.mark.parametrize("sign", ["\u0664", "\u0131", "\u017f", "\u200b"])
def test_a_character_that_only_looks_right_is_refused(sign: str) -> None:
    """Digits of other scripts, and letters that become one of A to Z in capitals."""
    with pytest.raises(InvalidCurp):
        check(SPECIMENS[0][:17] + sign)
    with pytest.raises(InvalidCurp):
        check(sign + SPECIMENS[0][1:])
