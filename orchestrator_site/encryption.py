"""Secrets at rest: Fernet tokens of several keys, the first of which encrypts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from orchestrator_site.sealing import fernet


class Undecipherable(Exception):
    """No key of ours made this token: a key is missing, or the value was changed."""


def encrypt(text: str) -> str:
    return _ours(tuple(settings.ENCRYPTION_KEYS)).encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Raises Undecipherable."""
    try:
        return _ours(tuple(settings.ENCRYPTION_KEYS)).decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise Undecipherable("No key of ENCRYPTION_KEYS reads this value.") from error


def renewed(token: str) -> str:
    """The same secret under the first key. Raises Undecipherable."""
    return encrypt(decrypt(token))


class EncryptedTextField(models.TextField):
    """Text that is a token in the database and itself in Python. It cannot be searched."""

    def from_db_value(self, value: str | None, *args: Any) -> str | None:
        return decrypt(value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return encrypt(prepared) if prepared else prepared

    def get_lookup(self, lookup_name: str) -> Any:
        """None but `isnull`: the same text has a new token each time."""
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None


@lru_cache
def _ours(secrets: tuple[str, ...]) -> MultiFernet:
    return fernet(secrets)
