"""Fixtures for every test: the origin's table, factories, clients."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.cache import caches
from django.db import connections
from django.db.models import Model
from django.test import Client

from brain import origin as origin_module
from brain.models import Flow, Organismo, RecursosExp
from orchestrator_site import roles
from tests import parts
from tests import redis as redis_server
from tests.factories import FlowFactory, MotivoFactory, OrganismoFactory
from tests.machine import Machine

BOTH = ("default", "recursos")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every database test may use the origin too."""
    for item in items:
        for mark in item.iter_markers("django_db"):
            mark.kwargs.setdefault("databases", BOTH)


def pytest_collection_finish() -> None:
    """What is imported by now stays to the end: it is not looked through for garbage again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _nobody_has_asked_yet() -> None:
    """What the process counts of each user's requests begins anew: keys of users come again."""
    caches["process"].clear()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The origin's table, which Django does not manage. What the migrations put into ours is
    remembered."""
    with django_db_blocker.unblock():
        with connections["recursos"].schema_editor() as editor:
            editor.create_model(RecursosExp)
        for model in _ours():
            OF_MIGRATIONS[model] = list(model._base_manager.all())
    _blocker.append(django_db_blocker)


OF_MIGRATIONS: dict[type[Model], list[Model]] = {}
_blocker: list[Any] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """A test with real transactions ends with empty tables. Whichever comes next in this process
    finds there again what the migrations put there."""
    yield
    is_flushed = any(mark.kwargs.get("transaction") for mark in item.iter_markers("django_db"))
    if is_flushed and nextitem and _blocker:
        with _blocker[0].unblock():
            for model, rows in OF_MIGRATIONS.items():
                if rows and not model._base_manager.exists():
                    model._base_manager.bulk_create(rows)


def _ours() -> list[type[Model]]:
    """Those below others first."""
    names = ("devices", "queues", "brain", "postprocessing")
    return [model for name in names for model in apps.get_app_config(name).get_models()]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a machine whose database is as the migrations leave it: to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    Machine(folder).run("migrate", "-v0")
    return folder


@pytest.fixture
def origin(db: None) -> Iterator[Callable[..., RecursosExp]]:
    """An empty origin; call it to add a case, free and complete unless told otherwise."""
    origin_module._columns.clear()
    RecursosExp.objects.all().delete()
    number = iter(range(1, 100_000))

    def add(**values: Any) -> RecursosExp:
        pk = values.pop("idRecurso", None) or next(number)
        return RecursosExp.objects.create(
            **{
                "idRecurso": pk,
                "idExp": 9000 + pk,
                "Expedient": f"2026/{pk:06d}-MUL",
                "Organisme": "XALOC GIRONA",
                "TExp": 2,
                "Estado": 0,
                "numclient": 500 + pk,
                "SujetoRecurso": "Ana Inventada Pérez",
                "FaseProcedimiento": "Denuncia",
                "UsuarioAsignado": None,
                **values,
            }
        )

    yield add
    RecursosExp.objects.all().delete()


@pytest.fixture
def motivos(db: None) -> None:
    """The texts that a migration puts there, and a test with real transactions flushes."""
    MotivoFactory()


@pytest.fixture
def flow(db: None) -> Flow:
    return FlowFactory()


@pytest.fixture
def organismo(flow: Flow) -> Organismo:
    """xaloc_girona, active, claiming by SQL."""
    return OrganismoFactory(flow_name=flow.name)


@pytest.fixture
def person(db: None) -> Callable[[str], User]:
    """A user of a role: viewer, operator or admin."""

    def make(role: str) -> User:
        assert role in (roles.VIEWER, roles.OPERATOR, roles.ADMIN)
        user = User.objects.create_user(f"{role}-person", password="x", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def signed_in(client: Client, person: Callable[[str], User]) -> Callable[[str], Client]:
    """The test client, signed in with a role."""

    def make(role: str) -> Client:
        client.force_login(person(role))
        return client

    return make


@pytest.fixture(scope="session")
def redis_of_tests() -> Iterator[str]:
    """One server for all tests of this process."""
    parts.require("Redis")
    with redis_server.running() as url:
        yield url


@pytest.fixture
def redis_url(redis_of_tests: str) -> str:
    """A real Redis with nothing in it."""
    redis_server.empty(redis_of_tests)
    return redis_of_tests
