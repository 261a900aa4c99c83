"""The conventions that keep the project in shape."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin

ROOT = Path(__file__).resolve().parent.parent
# What each layer may import besides itself.
BELOW = {
    "brain": {"queues", "devices", "orchestrator_site"},
    "postprocessing": {"queues", "devices", "orchestrator_site"},
    "queues": {"devices", "orchestrator_site"},
    "devices": {"orchestrator_site"},
    "orchestrator_site": set(),
}
# The part of the ground that looks at every app; nothing imports it.
LOOKS_AT_ALL = (
    "orchestrator_site/dashboard/",
    "orchestrator_site/demo/",
    "orchestrator_site/management/commands/",
    "orchestrator_site/diagnosis.py",
    "orchestrator_site/urls.py",
    "orchestrator_site/views.py",
)
PACKAGES = tuple(BELOW)
FREE_OF_DJANGO = (
    "queues/browser/",
    "orchestrator_site/sealing.py",
    "orchestrator_site/internet.py",
)


@cache
def sources() -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text()))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "migrations" not in path.parts
    ]


@cache
def imported(tree: ast.Module) -> list[str]:
    return list(_imported(tree))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_imports_go_only_downwards() -> None:
    wrong = [
        f"{path} imports {name}"
        for path, tree in sources()
        if not path.startswith(LOOKS_AT_ALL)
        for name in imported(tree)
        if name.partition(".")[0] in PACKAGES
        and name.partition(".")[0] != path.partition("/")[0]
        and name.partition(".")[0] not in BELOW[path.partition("/")[0]]
    ]
    assert wrong == []


def test_nothing_imports_what_looks_at_every_app() -> None:
    modules = tuple(name.removesuffix(".py").rstrip("/").replace("/", ".") for name in LOOKS_AT_ALL)
    wrong = [
        f"{path} imports {name}"
        for path, tree in sources()
        if not path.startswith(LOOKS_AT_ALL)
        for name in imported(tree)
        if name.startswith(modules)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "homes"),
    [
        ("django_q", ("queues/doorbell.py",)),
        ("pyodbc", ()),
        ("boto3", ("queues/browser/store.py",)),
        ("playwright", ("queues/browser/",)),
        ("re2", ("brain/rules",)),
    ],
)
def test_an_outside_system_has_one_door(module: str, homes: tuple[str, ...]) -> None:
    users = {
        path
        for path, tree in sources()
        for name in imported(tree)
        if name.partition(".")[0] == module
    }
    assert [path for path in users if not path.startswith(homes or ("-",))] == []


def test_the_environment_is_read_in_one_place() -> None:
    readers = [
        path
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert set(readers) <= {
        # The installer runs before Django is there, and WSGI names the settings.
        "orchestrator_site/installing.py",
        "orchestrator_site/wsgi.py",
        # An isolated worker has no Django, and a parser's process hardly any environment.
        "queues/browser/worker_settings.py",
        "queues/browser/parsing.py",
    }


def test_flow_code_knows_no_database() -> None:
    """Isolated workers run it, with what of the ground and of queues knows none either."""
    free = {path: tree for path, tree in sources() if path.startswith(FREE_OF_DJANGO)}
    modules = tuple(
        path.removesuffix(".py").rstrip("/").replace("/", ".") for path in FREE_OF_DJANGO
    )
    wrong = [
        f"{path} imports {name}"
        for path, tree in free.items()
        for name in imported(tree)
        if name.partition(".")[0] in ("django", *PACKAGES)
        and not name.startswith(modules)
        and name not in ("queues", "orchestrator_site")
    ]
    assert wrong == []
    packages = ("queues/__init__.py", "orchestrator_site/__init__.py")
    assert [path for path in packages if (ROOT / path).read_text().strip()] == []


def test_a_status_is_written_by_move_alone() -> None:
    """Assigning or updating `status` elsewhere would leave no event."""
    allowed = {"orchestrator_site/status.py"}
    wrong = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "update":
                wrong += [path for word in node.keywords if word.arg == "status"]
            if isinstance(node, ast.Assign):
                wrong += [path for t in node.targets if getattr(t, "attr", "") == "status"]
    assert set(wrong) <= allowed


def test_every_admin_action_declares_its_permission() -> None:
    missing = []
    for model_admin in admin.site._registry.values():
        for action in model_admin.actions or ():
            function = getattr(model_admin, action) if isinstance(action, str) else action
            if not getattr(function, "allowed_permissions", None):
                missing.append(f"{model_admin}: {function}")
        for verb in getattr(model_admin, "verbs", ()):
            (action,) = [a for a in model_admin._get_base_actions() if a[1] == verb.name]
            assert action[0].allowed_permissions == ["operate"]
    assert missing == []


def test_every_model_with_a_status_has_legal_moves_for_each() -> None:
    from orchestrator_site.status import StatusModel

    for model in apps.get_models():
        if issubclass(model, StatusModel):
            known = {value for value, _label in model._meta.get_field("status").choices}
            named = set(model.MOVES) | {to for moves in model.MOVES.values() for to in moves}
            assert named <= known, model


def test_no_module_is_called_by_a_word_for_nothing() -> None:
    names = {"services.py", "utils.py", "helpers.py", "common.py"}
    assert [p for p, _tree in sources() if p.rpartition("/")[2] in names] == []
