"""Which rows of the origin are an organismo's: what its filters mean."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2
from django.utils.translation import gettext as _

from brain.rules.texts import clean, refusal

CLAIM_COLUMNS = {"texp": "TExp", "estado": "Estado"}
_BETWEEN_PATTERNS = re.compile(r"(?<=%)\s+(?=%)")
_SMALL_NUMBER = re.compile(r"[0-9]{1,9}")
_CLAIMED = re.compile(r"(texp|estado)\s*=\s*1", re.IGNORECASE)


def split_patterns(text: str) -> list[str]:
    """LIKE patterns, all of which must match, split where one's closing % meets the next one's.

    Raises ValueError, also for a pattern that would match everything.
    """
    patterns = _BETWEEN_PATTERNS.split(text.strip())
    for pattern in patterns:
        _check_pattern(pattern)
    return patterns


def _check_pattern(pattern: str) -> None:
    if all(char in "%_" or char.isspace() for char in pattern):
        message = _("“%(pattern)s” matches everything. Write a part of a name, as %%XALOC%%.")
        raise refusal(message, pattern=pattern)
    # A character class on SQL Server, two plain characters elsewhere.
    if "[" in pattern or "]" in pattern:
        message = _("“%(pattern)s” has a square bracket. Write _ instead: it is any character.")
        raise refusal(message, pattern=pattern)


def parse_texp(text: str) -> list[int]:
    """The values of TExp, as `2,3`, each once. Raises ValueError."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not _SMALL_NUMBER.fullmatch(part):
            message = _("“%(part)s” is not a TExp. Write whole numbers with commas: 2,3.")
            raise refusal(message, part=part)
    return list(dict.fromkeys(int(part) for part in parts))


@lru_cache(maxsize=256)
def compile_regex(text: str) -> Any:
    """An RE2 pattern: its time grows with the text alone. Raises ValueError with RE2's reason."""
    if not text.strip():
        raise refusal(_("An empty expression accepts everything. Write the number's format."))
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(clean(text), options)
    except re2.error as error:
        message = _("Invalid: %(reason)s. Change it; RE2 has no lookaheads or backreferences.")
        raise refusal(message, reason=_re2_reason(error)) from error


def _re2_reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def parse_claimed_when(text: str) -> dict[str, int]:
    """What the origin shows of a claimed case: TExp = 1, Estado = 1 or both. Raises ValueError."""
    found = [_CLAIMED.fullmatch(part.strip()) for part in text.split(",")]
    names = [CLAIM_COLUMNS[one[1].lower()] for one in found if one]
    if len(set(names)) < len(found):
        message = _("“%(text)s” is not a rule. Write TExp=1, Estado=1 or TExp=1,Estado=1.")
        raise refusal(message, text=text)
    return dict.fromkeys(names, 1)
