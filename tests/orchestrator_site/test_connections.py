"""Connection strings, as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator_site.connections import parse_odbc, sql_server, sqlite

WRITTEN = "DRIVER={ODBC Driver 18 for SQL Server};SERVER=db.example,1433;DATABASE=Recursos"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("SERVER=a", {"SERVER": "a"}),
        ("server=a;Uid=u;pwd=p", {"SERVER": "a", "UID": "u", "PWD": "p"}),
        (" SERVER = a ; DATABASE = b ;", {"SERVER": "a", "DATABASE": "b"}),
        ("SERVER=a;;PWD=p", {"SERVER": "a", "PWD": "p"}),
        ("PWD={a;b=c};UID=u", {"PWD": "a;b=c", "UID": "u"}),
        ("PWD={a}}b};UID=u", {"PWD": "a}b", "UID": "u"}),
        ("PWD={}}};UID=u", {"PWD": "}", "UID": "u"}),
        ("PWD={};UID=u", {"PWD": "", "UID": "u"}),
        ("PWD=a=b;UID=u", {"PWD": "a=b", "UID": "u"}),
        ("PWD={ a };UID=u", {"PWD": " a ", "UID": "u"}),
        ("SERVER=a;\nDATABASE=b;\n", {"SERVER": "a", "DATABASE": "b"}),
    ],
)
def test_a_connection_string_is_read(text: str, values: dict[str, str]) -> None:
    assert parse_odbc(text) == values


@pytest.mark.parametrize("text", ["PWD={secret", "PWD={secret}}"])
def test_a_brace_that_is_never_closed_is_told_without_what_is_in_it(text: str) -> None:
    with pytest.raises(ValueError, match="never closed") as caught:
        parse_odbc(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["DRIVER=x;secret;SERVER=a", "secret", "SERVER=a;secret"])
def test_a_piece_without_a_value_is_told_without_what_it_is(text: str) -> None:
    with pytest.raises(ValueError, match="no value") as caught:
        parse_odbc(text)
    assert "secret" not in str(caught.value)


def made(text: str) -> dict[str, Any]:
    return sql_server(parse_odbc(text), "Europe/Madrid")


def test_the_alias_for_sql_server() -> None:
    alias = made(f"{WRITTEN};UID=bot;PWD={{a;b}};Encrypt=yes;TrustServerCertificate=no")
    assert (alias["ENGINE"], alias["HOST"], alias["PORT"]) == ("mssql", "db.example", "1433")
    assert (alias["NAME"], alias["USER"], alias["PASSWORD"]) == ("Recursos", "bot", "a;b")
    assert alias["Trusted_Connection"] == "no"
    assert alias["OPTIONS"]["driver"] == "ODBC Driver 18 for SQL Server"
    assert alias["OPTIONS"]["extra_params"] == "Encrypt=yes;TrustServerCertificate=no"
    assert alias["TIME_ZONE"] == "Europe/Madrid"


@pytest.mark.parametrize(
    ("server", "host", "port"),
    [
        ("db.example", "db.example", ""),
        ("tcp:db.example,1444", "db.example", "1444"),
        ("HOST\\INSTANCE", "HOST\\INSTANCE", ""),
        ("10.0.0.5, 1433", "10.0.0.5", "1433"),
    ],
)
def test_the_server_with_and_without_its_port(server: str, host: str, port: str) -> None:
    alias = made(f"SERVER={server}")
    assert (alias["HOST"], alias["PORT"]) == (host, port)


@pytest.mark.parametrize("value", ["yes", "Yes", "true", "1"])
def test_a_trusted_connection_has_no_password(value: str) -> None:
    alias = made(f"{WRITTEN};Trusted_Connection={value};UID=u;PWD=p")
    assert (alias["USER"], alias["PASSWORD"]) == ("", "")
    assert alias["Trusted_Connection"] == "yes"


@pytest.mark.parametrize("driver", ["", "DRIVER=mssql_python;"])
def test_without_a_driver_microsoft_s_own_is_used(driver: str) -> None:
    options = made(f"{driver}SERVER=a")["OPTIONS"]
    assert options["python_driver"] == "mssql_python"
    assert "driver" not in options


def test_two_aliases_share_no_options() -> None:
    assert made("SERVER=a")["OPTIONS"] is not made("SERVER=b")["OPTIONS"]


def test_sqlite_is_written_by_several_processes() -> None:
    alias = sqlite(Path("a.sqlite3"), TIME_ZONE="Europe/Madrid")
    assert alias["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "WAL" in alias["OPTIONS"]["init_command"]
    assert alias["TIME_ZONE"] == "Europe/Madrid"
