"""No secret reaches a log."""

from __future__ import annotations

import json
import logging
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as configured
from pythonjsonlogger.json import JsonFormatter

from orchestrator_site.logs import REDACTED, Redact, redact

FORMATTERS = [logging.Formatter("%(message)s"), JsonFormatter("%(message)s")]


@pytest.mark.parametrize(
    "text",
    [
        "token=HUSH",
        "login?user=a&token=HUSH&next=/",
        "csrf_token: HUSH",
        "password=HUSH;Server=x",
        "Password = 'HUSH two words'",
        "PWD={HUSH;with}; Server=x",
        '{"password": "HUSH", "user": "a"}',
        '{"a": {"api_key":"HUSH \\" more HUSH"}}',
        "{'token': 'HUSH'}",
        "api-key: HUSH",
        "client_secret=HUSH",
        "AWS_SECRET_ACCESS_KEY=HUSH",
        "Authorization: Bearer 12345678.HUSH",
        "Authorization: Basic HUSHHUSHHUSH==",
        "headers {'Authorization': 'Api-Key 12345678.HUSH'}",
        "postgres://orchestrator:HUSH@db/orchestrator",
        "redis://:HUSH@cache:6379/0",
        "Cookie: ASP.NET_SessionId=HUSH",
    ],
)
def test_what_follows_a_secret_s_name_is_taken_out(text: str) -> None:
    cleaned = redact(text)
    assert "HUSH" not in cleaned
    assert REDACTED in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "case 2026/000001-MUL claimed in 0.2 s",
        "https://sede.example/a/b?Expedient=2026%2F000001-MUL",
        "the token has expired",
        "basic authentication is not used",
        "GET /api/v1/tramites/?status=failed 200",
        "3 passwords were changed",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_what_stands_beside_a_secret_stays() -> None:
    assert redact("token=HUSH&next=/") == f"token={REDACTED}&next=/"
    assert redact("Server=x;PWD=HUSH;UID=y") == f"Server=x;PWD={REDACTED};UID=y"


def test_the_secrets_of_this_process_are_known_wherever_they_stand(settings: Any) -> None:
    settings.XVIA_PASSWORD = "intranet-hush"
    settings.AWS_SECRET_ACCESS_KEY = "s3-hush"
    settings.SECRET_KEY = "django-hush"
    settings.DATABASES = {**configured.DATABASES, "recursos": {"PASSWORD": "sql-hush"}}
    for secret in ("intranet-hush", "s3-hush", "django-hush", "sql-hush"):
        assert redact(f"sent {secret} to them") == f"sent {REDACTED} to them"


@pytest.fixture
def written() -> Any:
    """Log to one formatter behind the filter, and read what was written."""

    def write(formatter: logging.Formatter, *args: Any, **kwargs: Any) -> str:
        stream = StringIO()
        handler = logging.StreamHandler(stream)
        handler.addFilter(Redact())
        handler.setFormatter(formatter)
        logger = logging.Logger("test")
        logger.addHandler(handler)
        logger.error(*args, **kwargs)
        return stream.getvalue()

    return write


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_record_s_arguments_are_cleaned(written: Any, formatter: logging.Formatter) -> None:
    text = written(formatter, "asked %s with token=%s", "https://a.example/", "HUSH")
    assert "HUSH" not in text
    assert "https://a.example/" in text


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_traceback_is_cleaned(written: Any, formatter: logging.Formatter) -> None:
    try:
        raise ValueError("https://a.example/?token=HUSH was refused")
    except ValueError:
        text = written(formatter, "it failed", exc_info=True)
    assert "HUSH" not in text
    assert text.count("Traceback (most recent call last)") == 1
    assert "ValueError" in text


def test_a_line_of_json_stays_json(written: Any) -> None:
    line = json.loads(written(FORMATTERS[1], 'got {"token": "HUSH"}'))
    assert line["message"] == f'got {{"token": {REDACTED}}}'


def test_every_handler_has_the_filter() -> None:
    for handler in configured.LOGGING["handlers"].values():
        assert "redact" in handler["filters"]
