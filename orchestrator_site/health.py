"""`/healthz`: the process answers. `/readyz`: what it needs answers too."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse


def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    problems = database_problems()
    status = "unready" if problems else "ok"
    body = {"status": status, "problems": problems}
    return JsonResponse(body, status=503 if problems else 200)


def database_problems() -> list[str]:
    """What keeps the database from being used, in plain words; empty when nothing does."""
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        return [f"The database does not answer: {type(error).__name__}"]
    if pending:
        return [f"{len(pending)} migrations are not applied: run manage.py migrate"]
    return []
