"""The rules' own parsers as validators of forms, imports and the API."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.utils.deconstruct import deconstructible
from django.utils.translation import gettext as _

from brain import rules


def validate_time_zone(name: str) -> None:
    """A name of the time zone database, such as Europe/Madrid."""
    if name not in available_timezones():
        raise ValidationError(_("There is no time zone %(name)s.") % {"name": name})


@deconstructible
class ParsedBy:
    """Valid is what the function of that name in `rules` takes; its ValueError is the message."""

    def __init__(self, parser: str) -> None:
        self.parser = parser

    def __call__(self, value: Any) -> None:
        try:
            getattr(rules, self.parser)(value)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParsedBy) and other.parser == self.parser

    def __hash__(self) -> int:
        return hash(self.parser)
