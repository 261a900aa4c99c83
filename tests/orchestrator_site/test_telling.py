"""Words of the code in those of the reader, and texts that are borrowed from packages."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.utils import translation

from brain.models import Flow
from orchestrator_site import roles, telling
from orchestrator_site.borrowed_texts import BORROWED
from orchestrator_site.models import Event
from tests.factories import FlowFactory, TramiteTaskFactory

JOINED = re.compile(r"[\"'](?:\s*#.*)?\s*\n\s*[\"']")  # strings that are continued on the next line


@pytest.mark.parametrize("package", BORROWED)
def test_a_borrowed_text_is_still_its_packages(package: str) -> None:
    spec = find_spec(package)
    assert spec and spec.submodule_search_locations
    (folder,) = spec.submodule_search_locations
    files = [*Path(folder).rglob("*.py"), *Path(folder).rglob("*.html")]
    source = "\n".join(JOINED.sub("", file.read_text(encoding="utf-8")) for file in files)
    assert [text for text in BORROWED[package] if text not in source] == []


@pytest.mark.django_db
def test_an_event_tells_its_row_and_its_states_by_their_names() -> None:
    task = TramiteTaskFactory()
    task.cancel("filed by hand")
    event = Event.objects.get(new="cancelled")
    with translation.override("es"):
        assert telling.change(event) == "Pendiente → Cancelado"
        assert telling.kind(event.object_type) == "Recurso en la cola"


@pytest.mark.django_db
def test_what_is_no_state_is_told_as_it_is() -> None:
    flow = FlowFactory()
    event = Event.objects.filter(object_type=Flow._meta.label_lower).latest("id")
    assert telling.change(event) == f"v{flow.version}"
    assert telling.kind("gone.model") == "gone.model"
    assert telling.state("gone.model", "done") == "done"


@pytest.mark.django_db
def test_permissions_are_told_by_their_models_name() -> None:
    usual = Permission.objects.get(codename="view_claim")
    own = Permission.objects.get(codename="operate_claim")
    assert telling.permission(usual) == "Brain | claim | Can view"
    assert telling.permission(own) == "Brain | claim | Can release and settle claims"


def test_the_permissions_that_models_declare_can_be_translated() -> None:
    ours = (model._meta for model in apps.get_models() if model._meta.app_label in roles.OURS)
    declared = {name for meta in ours for _codename, name in meta.permissions}
    assert declared == set(telling.OWN)
