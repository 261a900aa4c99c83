"""Chromium opens each page there is as an admin, with a row in every table: nothing is said in the
console, nobody else is asked, nothing is wider than the screen, and axe finds nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse

from orchestrator_site.dashboard import menu
from queues.models import EvidenceFile, Job, NbcRecord, TramiteTask
from tests import walking
from tests.every_row import every_row as every_row

pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.chromium,
    pytest.mark.timeout(900),  # a hundred pages each
]
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SHARES = 3  # of the admin's pages, each looked at by a test of its own


@pytest.fixture
def person(every_row: None) -> Callable[[str], User]:
    for path in EvidenceFile.objects.values_list("path", flat=True):
        default_storage.save(path, ContentFile(PIXEL))

    def make(role: str) -> User:
        user = User.objects.create_user(f"{role}-person", is_staff=True)
        user.groups.add(Group.objects.get_or_create(name=role)[0])
        return user

    return make


def pages(user: User) -> Iterator[str]:
    """What the menu has, then each list that the person may see, and a row of it."""
    request = RequestFactory().get("/")
    request.user = user
    yield from (str(item["link"]) for group in menu.navigation(request) for item in group["items"])
    for model in MODELS:
        if admin.site._registry[model].has_view_permission(request):
            yield from of_model(model)
    yield from of_their_own()


def of_model(model: type[Model]) -> Iterator[str]:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    yield reverse(f"{name}_changelist")
    if (row := model._default_manager.order_by("pk").last()) is not None:
        yield reverse(f"{name}_change", args=[row.pk])


def of_their_own() -> Iterator[str]:
    """Pages about one thing, which no menu has."""
    yield reverse("pqr-company", args=["afinia"])
    for model in (TramiteTask, NbcRecord, Job):
        if (row := model.objects.order_by("pk").last()) is not None:
            yield reverse("case", args=[row.case_id])
    yield f"{reverse('search')}?q=2026"


def is_ours(path: str) -> bool:
    """Pages that are no list and no form of the admin's own look."""
    return re.match(r"/admin/[a-z_]+/[a-z]+/(\w|$)", path) is None or "/queues/" in path


@pytest.mark.parametrize("share", range(SHARES))
def test_each_page_of_an_admin_s_is_sound_and_accessible(
    person: Callable[[str], User], live_server: Any, share: int
) -> None:
    user = person("admin")
    paths, session = list(dict.fromkeys(pages(user)))[share::SHARES], walking.cookie(user)
    with walking.browser() as chromium, walking.walk(chromium, live_server.url, session) as walk:
        for path in paths:
            walk.go(path)
            walk.check(in_the_dark=is_ours(path))
    assert not walk.faults, walk.told()
