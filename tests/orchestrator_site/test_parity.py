"""What staff can do with a button scripts can do too: by the API, and by a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from django.contrib import admin
from django.core.management import get_commands
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from orchestrator_site.management.commands.act import Command as Act
from orchestrator_site.urls import control, router
from orchestrator_site.verbs import OFFERS, Verb, offer_of

# Buttons that are no verb of a row: where scripts do the same, and the command that does.
BUTTONS = {
    "pause the brain": ("brain/pause/", "pause"),
    "resume the brain": ("brain/resume/", "resume"),
    "run the brain now": ("cycles/run/", "runbrain"),
    "compare claims now": ("reconciliations/run/", "reconcileclaims"),
    "pause the distribution": ("distribution/pause/", "pause"),
    "resume the distribution": ("distribution/resume/", "resume"),
    "save shares": ("shares/", "importshares"),
    "simulate shares": ("shares/simulate/", "importshares"),
    "import organismos": ("organismos/import/", "importorganismos"),
    "export organismos": ("organismos/export/", "exportorganismos"),
    "run a company": ("post-processing-runs/", "postprocess"),
    "verify a company": ("verifications/", "verifyfiles"),
    "act on all that match": ("bulk-actions/", "act"),
}
# The view set of a kind of rows; that of one's own members is not for staff.
VIEWSETS = {viewset.queryset.model: base for _p, viewset, base in reversed(router.registry)}
VIEWSETS |= {v.queryset.model: base for _p, v, base in control.registry if base != "api-members"}


def of_the_admin() -> Iterator[tuple[Any, Verb]]:
    for model, model_admin in admin.site._registry.items():
        for verb in getattr(model_admin, "verbs", ()):
            yield model, verb


ADMIN = list(of_the_admin())
EVERY = pytest.mark.parametrize(
    ("model", "verb"), ADMIN, ids=[f"{m._meta.model_name}-{v.name}" for m, v in ADMIN]
)


@EVERY
def test_a_button_is_offered_to_commands(model: Any, verb: Verb) -> None:
    offer = offer_of(model)
    assert offer and verb in offer.verbs
    assert f"{offer.kind}:" in Act.help and verb.path in Act.help


@EVERY
def test_a_button_has_an_address_in_the_api(model: Any, verb: Verb) -> None:
    assert address_of(f"{VIEWSETS[model._meta.concrete_model]}-{verb.path}")


def address_of(name: str) -> str:
    """Rows are known by numbers, by UUIDs, or by names."""
    for key in ("1", str(UUID(int=1)), "a"):
        with suppress(NoReverseMatch):
            return reverse(name, args=[key])
    return ""


@pytest.mark.parametrize("kind", sorted(OFFERS))
def test_what_scripts_can_do_is_a_button_too(kind: str) -> None:
    model_admin: Any = admin.site._registry[OFFERS[kind].model]
    assert set(OFFERS[kind].verbs) == set(model_admin.verbs)


@pytest.mark.parametrize("kind", sorted(OFFERS))
def test_the_way_back_is_a_verb_of_the_same_rows(kind: str) -> None:
    offer = OFFERS[kind]
    for verb in offer.verbs:
        assert not verb.undo or offer.undo_of(verb), verb.name
        assert verb.undo != verb.name or verb.argument, verb.name


@pytest.mark.parametrize("button", BUTTONS)
def test_other_buttons_have_an_address_and_a_command(button: str) -> None:
    address, command = BUTTONS[button]
    try:
        resolve(f"/api/v1/{address}")
    except Resolver404:
        pytest.fail(f"no {address}")
    assert command in get_commands()
