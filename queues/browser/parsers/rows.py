"""What every parser gives."""

from __future__ import annotations

Row = dict[str, str]


class Unparsable(Exception):
    """The file is not what the parser reads; says why."""
