"""The origin: what it is asked in T-SQL, and what its errors mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.utils import OperationalError, ProgrammingError

from brain import cycles
from brain import origin as origin_module
from brain.models import Cycle, Organismo, RecursosExp
from orchestrator_site.connections import parse_odbc, sql_server
from tests import parts


@pytest.fixture
def sql_server_connection() -> Any:
    """mssql-django's compiler, without a server."""
    parts.require("unixODBC")
    from mssql.base import DatabaseWrapper

    values = parse_odbc("SERVER=nowhere,1433;DATABASE=Xvia;UID=u;PWD=p")
    settings = {
        **connections["recursos"].settings_dict,
        **sql_server(values, "Europe/Madrid"),
        "AUTOCOMMIT": True,
    }
    wrapper = DatabaseWrapper(settings, "recursos")
    wrapper.__dict__["sql_server_version"] = 2019
    wrapper.__dict__["to_azure_sql_db"] = False
    return wrapper


def compiled(queryset: Any, connection: Any) -> str:
    return queryset.query.get_compiler(connection=connection).as_sql()[0]


def test_the_t_sql_of_discovery(sql_server_connection: Any) -> None:
    rows = origin_module.discovery(["%GESTION%", "%MADRID%"], [2, 3]).filter(idRecurso__gt=7)
    sql = compiled(rows.values("idRecurso", "Expedient")[:1000], sql_server_connection)
    assert sql == (
        "SELECT TOP 1000 [Recursos].[RecursosExp].[idRecurso] AS [idRecurso], "
        "[Recursos].[RecursosExp].[Expedient] AS [Expedient] FROM [Recursos].[RecursosExp] "
        "WHERE ([Recursos].[RecursosExp].[Organisme] LIKE %s "
        "AND [Recursos].[RecursosExp].[Organisme] LIKE %s "
        "AND [Recursos].[RecursosExp].[Estado] = %s "
        "AND [Recursos].[RecursosExp].[Expedient] IS NOT NULL "
        "AND [Recursos].[RecursosExp].[TExp] IN (%s, %s) "
        "AND [Recursos].[RecursosExp].[idRecurso] > %s) "
        "ORDER BY 1 ASC"
    )


def test_the_t_sql_of_the_read_back(sql_server_connection: Any) -> None:
    sql = compiled(origin_module.proof_rows([1, 2]), sql_server_connection)
    assert sql == (
        "SELECT [Recursos].[RecursosExp].[idRecurso] AS [idRecurso], "
        "[Recursos].[RecursosExp].[TExp] AS [TExp], "
        "[Recursos].[RecursosExp].[Estado] AS [Estado], "
        "[Recursos].[RecursosExp].[UsuarioAsignado] AS [UsuarioAsignado] "
        "FROM [Recursos].[RecursosExp] WHERE [Recursos].[RecursosExp].[idRecurso] IN (%s, %s)"
    )


def test_the_t_sql_of_the_claim() -> None:
    sql, params = origin_module.claim_statement("microsoft", [11, 12], "BOT", {"TExp": 1}, [2, 3])
    assert sql == (
        "UPDATE [Recursos].[RecursosExp] SET [UsuarioAsignado] = %s, [TExp] = %s "
        "OUTPUT inserted.[idRecurso] WHERE [idRecurso] IN (%s, %s) AND [Estado] = 0 "
        "AND [TExp] IN (%s, %s)"
    )
    assert params == ["BOT", 1, 11, 12, 2, 3]


def test_either_driver_is_configured_by_its_name() -> None:
    wheel = sql_server(parse_odbc("SERVER=tcp:h,1433;DATABASE=d;UID=u;PWD={a;b}}c}"), "UTC")
    assert (wheel["HOST"], wheel["PORT"], wheel["PASSWORD"]) == ("h", "1433", "a;b}c")
    assert wheel["OPTIONS"]["python_driver"] == "mssql_python"
    odbc = sql_server(
        parse_odbc("DRIVER={ODBC Driver 17 for SQL Server};SERVER=h;Trusted_Connection=yes"), "UTC"
    )
    assert odbc["OPTIONS"]["driver"] == "ODBC Driver 17 for SQL Server"
    assert odbc["Trusted_Connection"] == "yes"
    assert odbc["USER"] == ""


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (OperationalError("timeout expired"), origin_module.OriginUnreachable),
        (OperationalError("('28000', 'Login failed for user')"), origin_module.OriginRefused),
        (ProgrammingError("42S02 Invalid object name"), origin_module.OriginRefused),
    ],
)
def test_unreachable_and_refused_are_two_things(error: Exception, meaning: type) -> None:
    assert type(origin_module._translated(error)) is meaning


@pytest.mark.django_db
def test_where_triggers_forbid_output_each_case_is_claimed_alone(
    origin: Callable[..., RecursosExp], monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [origin(), origin(), origin(TExp=9)]

    class Refusing:
        vendor = "microsoft"

        def cursor(self) -> Any:
            raise OperationalError("42000 (334) the OUTPUT clause without INTO clause")

    monkeypatch.setattr(origin_module, "connections", {"recursos": Refusing()})
    won = origin_module.claim([case.pk for case in cases], "BOT", {"TExp": 1}, [2, 3])
    assert won == {cases[0].pk, cases[1].pk}


@pytest.fixture
def another_file(settings: Any, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Point the alias elsewhere for the length of a test."""
    connection = connections["recursos"]
    kept = connection.settings_dict["NAME"]

    def use(name: str) -> None:
        connection.close()
        connection.settings_dict["NAME"] = name

    yield use
    connection.close()
    connection.settings_dict["NAME"] = kept


@pytest.mark.django_db(transaction=True)
def test_an_unreachable_origin_is_an_error_that_staff_see(
    organismo: Organismo, another_file: Callable[[str], None], tmp_path: Path
) -> None:
    another_file(f"file:{tmp_path}/nowhere.sqlite3?mode=rw")
    cycle = cycles.run_cycle()
    assert cycle.outcome == Cycle.Outcome.WITH_ERRORS
    assert cycle.sites["xaloc_girona"]["error_kind"] == "OriginUnreachable"
    organismo.refresh_from_db()
    assert "unable to open" in organismo.last_error


@pytest.mark.django_db(transaction=True)
def test_an_origin_without_the_table_refuses_us(
    organismo: Organismo, another_file: Callable[[str], None], tmp_path: Path
) -> None:
    (tmp_path / "empty.sqlite3").touch()
    another_file(f"file:{tmp_path}/empty.sqlite3?mode=rw")
    report = cycles.run_cycle().sites["xaloc_girona"]
    assert report["error_kind"] == "OriginRefused"
    assert "no such table" in report["error"]


@pytest.mark.django_db(transaction=True)
def test_an_empty_origin_is_no_error(
    origin: Callable[..., RecursosExp], organismo: Organismo
) -> None:
    cycle = cycles.run_cycle()
    assert cycle.outcome == Cycle.Outcome.DONE
    assert cycle.sites["xaloc_girona"]["found"] == 0


@pytest.mark.django_db(transaction=True)
def test_columns_that_are_not_there_are_not_asked_for(
    organismo: Organismo, another_file: Callable[[str], None], tmp_path: Path
) -> None:
    import sqlite3

    path = tmp_path / "narrow.sqlite3"
    names = ", ".join(f'"{name}"' for name in origin_module.REQUIRED)
    with sqlite3.connect(path) as database:
        database.execute(f'CREATE TABLE "[Recursos].[RecursosExp]" ({names})')
    another_file(f"file:{path}?mode=rw")
    assert origin_module.columns() == origin_module.REQUIRED
    assert cycles.run_cycle().outcome == Cycle.Outcome.DONE
