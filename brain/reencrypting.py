"""All that is encrypted, put under the first key, so that older keys can be taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models import Model
from django.db.models.functions import Cast

from brain import sessions
from brain.models import ConnectedProvider
from orchestrator_site.encryption import EncryptedTextField
from orchestrator_site.sealing import fernet

BATCH = 200


@dataclass
class Tally:
    """What became of one column's values. `unreadable`: rows that no key reads."""

    name: str
    renewed: int = 0
    already: int = 0
    unreadable: list[str] = field(default_factory=list)


def reencrypt(dry_run: bool, told: Callable[[Tally], object]) -> list[Tally]:
    """Column after column; `told` is called after each batch of rows. Can be broken off and
    begun anew at any time."""
    tallies = []
    for model, name, secrets in columns():
        tally = Tally(f"{model._meta.label}.{name}")
        tallies.append(tally)
        for keys in _batches(model, name):
            _renew(model, name, keys, secrets, dry_run, tally)
            told(tally)
    return tallies


def columns() -> Iterator[tuple[type[Model], str, list[str]]]:
    """Each with the secrets that its values are under."""
    for model in apps.get_models():
        for one in model._meta.concrete_fields:
            if isinstance(one, EncryptedTextField):
                yield model, one.name, list(settings.ENCRYPTION_KEYS)
    yield ConnectedProvider, "session", list(settings.SESSION_KEYS)


def _batches(model: type[Model], name: str) -> Iterator[list[Any]]:
    rows = model._base_manager.exclude(**{f"{name}__isnull": True}).order_by("pk")
    keys = list(rows.values_list("pk", flat=True))
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]


def _renew(
    model: type[Model], name: str, keys: list[Any], secrets: list[str], dry_run: bool, tally: Tally
) -> None:
    """The tokens themselves are read and written, past the field that hides them."""
    ring, first = fernet(secrets), fernet(secrets[:1])
    as_stored = Cast(name, models.TextField())
    with transaction.atomic():
        rows = model._base_manager.select_for_update().filter(pk__in=keys)
        for pk, token in rows.annotate(stored=as_stored).values_list("pk", "stored"):
            renewed = _renewed(token, ring, first, str(pk), tally) if token else None
            if renewed and not dry_run:
                model._base_manager.filter(pk=pk).update(**{name: _Stored(renewed)})
        if model is ConnectedProvider and not dry_run:
            renewed_rows = ConnectedProvider.objects.filter(
                pk__in=keys, status=ConnectedProvider.Status.ACTIVE
            )
            copies = list(renewed_rows.select_related("provider"))
            transaction.on_commit(lambda: sessions.publish(copies))


def _renewed(
    token: str, ring: MultiFernet, first: MultiFernet, pk: str, tally: Tally
) -> str | None:
    """The token under the first key; None where it stays as it is."""
    try:
        first.decrypt(token.encode())
    except InvalidToken:
        pass
    else:
        tally.already += 1
        return None
    try:
        made = ring.rotate(token.encode()).decode()
    except InvalidToken:
        tally.unreadable.append(pk)
        return None
    tally.renewed += 1
    return made


class _Stored(models.Value):
    """A token that is written as it is, not encrypted once more."""

    def __init__(self, token: str) -> None:
        super().__init__(token, output_field=models.TextField())
