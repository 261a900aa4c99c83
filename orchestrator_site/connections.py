"""Connection settings: from the strings that people write to what Django wants."""

from __future__ import annotations

import selectors
import time
from datetime import datetime
from pathlib import Path
from typing import Any

SILENT = 30.0  # seconds; routers forget connections that are silent for minutes
ODBC_OPTIONS = {"connection_timeout": 5, "query_timeout": 30, "connection_retries": 1}


def parse_odbc(text: str) -> dict[str, str]:
    """`DRIVER={...};SERVER=a,1433;UID=u;PWD=p` as a dict with upper-case keys.

    A value in braces may hold `;`, and `}}` stands for a brace in it. Raises ValueError, whose
    text holds nothing of the string.
    """
    values: dict[str, str] = {}
    rest = text.strip()
    while rest:
        key, equals, rest = rest.partition("=")
        name = key.strip(" ;\t\r\n").upper()
        if ";" in name or (name and not equals):
            raise ValueError("A part of the connection string has no value: write NAME=value.")
        rest = rest.lstrip()
        if rest.startswith("{"):
            end = 1
            while (end := rest.find("}", end)) != -1 and rest[end : end + 2] == "}}":
                end += 2
            if end == -1:
                raise ValueError("A '{' of the connection string is never closed.")
            value, rest = rest[1:end].replace("}}", "}"), rest[end + 1 :].lstrip(" ;")
        else:
            value, _, rest = rest.partition(";")
            value = value.strip()
        if name:
            values[name] = value
    return values


def sql_server(values: dict[str, str], time_zone: str) -> dict[str, Any]:
    """The database alias for SQL Server; `values` has the keys of a connection string.

    Without DRIVER (or with `mssql_python`) Microsoft's driver from the wheel is used, else the
    ODBC driver of that name.
    """
    server = values.get("SERVER", "")
    host, _, port = server.removeprefix("tcp:").partition(",")
    driver = values.get("DRIVER", "").strip("{}")
    options: dict[str, Any] = dict(ODBC_OPTIONS)
    if driver in ("", "mssql_python"):
        options["python_driver"] = "mssql_python"
    else:
        options["driver"] = driver
    passed_on = {"ENCRYPT": "Encrypt", "TRUSTSERVERCERTIFICATE": "TrustServerCertificate"}
    options["extra_params"] = ";".join(
        f"{name}={values[key]}" for key, name in passed_on.items() if key in values
    )
    trusted = values.get("TRUSTED_CONNECTION", "").lower() in ("yes", "1", "true")
    return {
        "ENGINE": "mssql",
        "HOST": host.strip(),
        "PORT": port.strip(),
        "NAME": values.get("DATABASE", ""),
        "USER": "" if trusted else values.get("UID", ""),
        "PASSWORD": "" if trusted else values.get("PWD", ""),
        "Trusted_Connection": "yes" if trusted else "no",
        "TIME_ZONE": time_zone,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def sqlite(path: Path, **extra: Any) -> dict[str, Any]:
    """An SQLite alias that several processes can write at once."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        **extra,
    }


def read_dates_fast(connection: Any, **kwargs: Any) -> None:
    """Read PostgreSQL's dates by Python's own parser. Django's loader takes ten times as long, and
    dates are much of what a batch of tasks costs. A receiver of `connection_created`."""
    if connection.vendor != "postgresql":
        return
    from django.db.backends.postgresql.psycopg_any import BaseTzLoader

    class TzLoader(BaseTzLoader):
        timezone = connection.timezone

        def load(self, data: Any) -> Any:
            try:
                return datetime.fromisoformat(str(data, "ascii")).astimezone(self.timezone)
            except ValueError:  # infinity, years before Christ
                return super().load(data)

    connection.connection.adapters.register_loader("timestamptz", TzLoader)


def ask_the_socket(connection: Any, **kwargs: Any) -> None:
    """Let the first use in a request look whether the server has hung up, instead of asking it: a
    round trip, for which a small answer's query would be half of the time. Where it has said
    anything it is asked, and every SILENT seconds: who goes without a word is found so. A
    receiver of `connection_created`."""
    if connection.vendor != "postgresql":
        return
    asked = time.monotonic()

    def is_usable() -> bool:
        nonlocal asked
        if connection.connection.closed:
            return False
        if time.monotonic() - asked > SILENT:
            asked = time.monotonic()
            return type(connection).is_usable(connection)
        with selectors.DefaultSelector() as selector:
            selector.register(connection.connection.fileno(), selectors.EVENT_READ)
            is_silent = not selector.select(0)
        return is_silent or type(connection).is_usable(connection)

    connection.is_usable = is_usable
