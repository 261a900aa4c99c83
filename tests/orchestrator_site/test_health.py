"""Probes: whether the process answers, and whether what it needs does."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.db.migrations.executor import MigrationExecutor
from django.test import Client


@pytest.mark.parametrize("path", ["/healthz", "/health"])
def test_a_process_that_answers_is_healthy_whatever_the_database_does(
    client: Client, path: str
) -> None:
    """No database mark: a query would fail the test."""
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_a_process_with_its_database_is_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "problems": []})


@pytest.mark.django_db
def test_a_database_that_does_not_answer_is_told_without_its_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("no connection to orchestrator:HUSH@db")

    monkeypatch.setattr(MigrationExecutor, "__init__", fails)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unready"
    assert "does not answer" in answer.json()["problems"][0]
    assert "HUSH" not in answer.content.decode()


@pytest.mark.django_db
def test_missing_migrations_are_told_with_what_to_do(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, targets: [1, 2])
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "2 migrations" in answer.json()["problems"][0]
    assert "migrate" in answer.json()["problems"][0]
