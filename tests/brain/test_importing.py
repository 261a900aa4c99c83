"""`organismo_config.json`: both forms, upserts, and what is refused, with its line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from brain import importing
from brain.models import Organismo
from tests.factories import OrganismoFactory

pytestmark = pytest.mark.django_db

# The two examples of the documents, as they stand there.
BY_SITE = r"""{
    "xaloc_girona": {
        "site_id": "xaloc_girona",
        "query_organisme": "%XALOC%",
        "filtro_texp": "2,3",
        "regex_expediente": "^\\d{4}/\\d{6}-MUL$",
        "login_url": "http://www.xvia-grupoeuropa.net/intranet/xvia-grupoeuropa/public/login",
        "recursos_url": "http://www.xvia-grupoeuropa.net/intranet/xvia-grupoeuropa/public/servicio/recursos/telematicos",
        "active": true,
        "notes": "Autenticación requerida - usa XVIA_EMAIL y XVIA_PASSWORD del .env"
    }
}"""
CONFIGS = r"""{
    "configs": [
        {
            "site_id": "xaloc_girona",
            "query_organisme": "%XALOC%",
            "filtro_texp": "2,3",
            "regex_expediente": "^\\d{4}/\\d{6}-MUL$",
            "url_template": "http://www.xvia-grupoeuropa.net/intranet/xvia-grupoeuropa/public/servicio/recursos/telematicos?_token={token}&Expedient={expediente}",
            "bot_username": "BOT_MULTIVIA",
            "active": true,
            "notes": "XALOC Girona - Multas de tráfico"
        },
        {
            "site_id": "madrid",
            "query_organisme": "%MADRID%",
            "filtro_texp": "2,3",
            "regex_expediente": "^.*$",
            "url_template": null,
            "bot_username": "BOT_MULTIVIA",
            "active": false,
            "notes": "Pendiente de definir formato de expediente"
        }
    ]
}"""
GOOD = {
    "site_id": "leon",
    "query_organisme": "%LEON%",
    "filtro_texp": "2,3",
    "regex_expediente": r"^\d{4}$",
}


def text_of(*configs: dict[str, Any]) -> str:
    return json.dumps({"configs": configs}, indent=2)


def state() -> list[dict[str, Any]]:
    return list(Organismo.objects.order_by("pk").values())


def run(*arguments: str) -> str:
    told = io.StringIO()
    call_command(*arguments, stdout=told)
    return told.getvalue()


# --- What is taken ----------------------------------------------------------------------------


def test_the_documents_example_by_site() -> None:
    report = importing.import_text(BY_SITE)
    assert (report.created, report.refused, report.written) == (["xaloc_girona"], [], True)
    row = Organismo.objects.get()
    assert row.active
    assert row.regex_expediente == r"^\d{4}/\d{6}-MUL$"
    assert row.login_url.endswith("/public/login")
    assert row.url_template is None
    assert "Autenticación" in row.notes


def test_the_documents_example_as_a_list() -> None:
    report = importing.import_text(CONFIGS)
    assert (report.created, report.written) == (["xaloc_girona", "madrid"], True)
    xaloc, madrid = Organismo.objects.order_by("-active")
    assert "{token}" in str(xaloc.url_template)
    assert (madrid.active, madrid.url_template, madrid.regex_expediente) == (False, None, "^.*$")


@pytest.mark.parametrize("text", [BY_SITE, CONFIGS])
def test_the_same_text_again_changes_nothing(text: str) -> None:
    importing.import_text(text)
    before, history = state(), Organismo.history.count()
    report = importing.import_text(text)
    assert (report.created, report.updated, report.refused) == ([], {}, [])
    assert sorted(report.unchanged) == sorted(row["site_id"] for row in before)
    assert (state(), Organismo.history.count()) == (before, history)


def test_a_row_is_known_by_its_site_and_keeps_what_the_text_leaves_out() -> None:
    old = OrganismoFactory(notes="kept", priority=3)
    report = importing.import_text('{"xaloc_girona": {"priority": 5, "bot_username": null}}')
    assert report.updated == {
        "xaloc_girona": {"priority": [3, 5], "bot_username": ["BOT_MULTIVIA", ""]}
    }
    row = Organismo.objects.get()
    assert (row.pk, row.priority, row.bot_username, row.notes) == (old.pk, 5, "", "kept")


def test_an_update_writes_what_it_changes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person pauses the organismo while the import is under way."""
    OrganismoFactory()
    checked = Organismo.full_clean

    def slowly(row: Organismo) -> None:
        checked(row)
        Organismo.objects.update(paused=True)

    monkeypatch.setattr(Organismo, "full_clean", slowly)
    importing.import_text('{"xaloc_girona": {"priority": 5}}')
    row = Organismo.objects.get()
    assert (row.priority, row.paused) == (5, True)


def test_the_databases_own_columns_are_passed_over() -> None:
    own = {"id": 77, "last_sync_at": None, "created_at": "2026-01-01", "updated_at": "x"}
    assert importing.import_text(text_of({**GOOD, **own})).created == ["leon"]
    assert Organismo.objects.get().pk != 77


def test_sqlite_s_own_way_to_write_yes_is_taken() -> None:
    importing.import_text(text_of({**GOOD, "active": 1}))
    assert Organismo.objects.get().active is True


def test_a_dry_run_tells_everything_and_writes_nothing() -> None:
    OrganismoFactory(priority=1)
    before = state()
    text = text_of(GOOD, {"site_id": "xaloc_girona", "priority": 2})
    report = importing.import_text(text, dry_run=True)
    assert (report.created, report.updated) == (["leon"], {"xaloc_girona": {"priority": [1, 2]}})
    assert not report.written
    assert state() == before


def test_what_is_exported_can_be_imported_and_changes_nothing() -> None:
    OrganismoFactory(
        attachments=[{"name": "a.pdf", "source": "folder", "path": "{idRecurso}.pdf"}],
        url_template=None,
        notes="ñ “x”\nline",
        claim_method="portal",
        login_url="http://127.0.0.1:1/login",
    )
    OrganismoFactory(site_id="another", url_template="", active=False)
    before = state()
    text = json.dumps(importing.export(Organismo.objects.all()))
    report = importing.import_text(text)
    assert sorted(report.unchanged) == ["another", "xaloc_girona"]
    assert state() == before
    Organismo.objects.all().delete()
    importing.import_text(text)
    assert json.loads(text) == importing.export(Organismo.objects.all())


# --- What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"regex_expediente": "^(x$"}, "regex_expediente: Invalid"),
        ({"regex_expediente": "(?=x)"}, "regex_expediente: Invalid"),
        ({"regex_expediente": ""}, "regex_expediente"),
        ({"url_template": "http://a.example/{expedient}"}, "no placeholder {expedient}"),
        ({"url_template": "ftp://a.example/"}, "url_template"),
        ({"filtro_texp": "2;3"}, "“2;3” is not a TExp"),
        ({"filtro_texp": ""}, "filtro_texp"),
        ({"query_organisme": "%%"}, "matches everything"),
        ({"claim_method": "fax"}, "claim_method"),
        ({"claimed_when": "TExp=9"}, "claimed_when"),
        ({"regex": "x"}, "regex is not a field"),
        ({"paused": True}, "paused is not a field"),
        ({"active": "si"}, "active: must be true or false"),
        ({"active": []}, "active: must be true or false"),
        ({"priority": "x"}, "priority: must be a whole number"),
        ({"priority": 1.5}, "priority: must be a whole number"),
        ({"priority": True}, "priority: must be a whole number"),
        ({"priority": 99999}, "priority: must be a whole number"),
        ({"target_queue_depth": 10**30}, "target_queue_depth: must be a whole number"),
        ({"claims_per_cycle": -1}, "claims_per_cycle"),
        ({"notes": ["a"]}, "notes: must be a text"),
        ({"notes": {}}, "notes: must be a text"),
        ({"url_template": {}}, "url_template: must be a text"),
        ({"bot_username": []}, "bot_username: must be a text"),
        ({"filtro_texp": 2}, "filtro_texp: must be a text"),
        ({"notes": "a\x00b"}, "notes: holds a character"),
        ({"notes": "\ud800"}, "notes: holds a character"),
        ({"attachments": "recurso.pdf"}, "attachments: The attachments must be a list"),
        ({"attachments": ""}, "attachments: must be a list"),
        ({"attachments": {}}, "attachments: must be a list"),
        ({"attachments": ["a.pdf"]}, "Attachment 1"),
        (
            {"attachments": [{"name": "a.pdf", "source": "folder", "path": "../x"}]},
            "must not climb",
        ),
        ({"site_id": "León"}, "site_id: Lower-case letters"),
        ({"site_id": 5}, "site_id: must be a text"),
        ({"site_id": None}, "site_id"),
    ],
)
def test_a_wrong_value_is_refused_at_its_line_and_nothing_is_written(
    values: dict[str, Any], told: str
) -> None:
    wrong = {**GOOD, **values}
    text = text_of({**GOOD, "site_id": "good"}, wrong, {**GOOD, "site_id": "also_good"})
    report = importing.import_text(text)
    (refusal,) = report.refused
    assert told in " ".join(refusal.messages)
    assert refusal.line == text.splitlines().index("    {", 4) + 2
    assert str(refusal).startswith(f"line {refusal.line}: ")
    assert not report.written
    assert state() == []


def test_every_fault_of_every_configuration_is_told() -> None:
    text = text_of({**GOOD, "priority": "x", "colour": "red"}, {**GOOD, "site_id": "b", "k": 1})
    first, second = importing.import_text(text).refused
    assert len(first.messages) == 2
    assert (first.site_id, second.site_id) == ("leon", "b")


def test_a_configuration_without_a_site_is_refused_where_it_begins() -> None:
    text = '{"configs": [\n' + json.dumps(GOOD) + ',\n{"query_organisme": "%X%"}\n]}'
    (refusal,) = importing.import_text(text).refused
    assert (refusal.line, refusal.site_id) == (3, "")


def test_a_site_twice_in_a_list_is_refused_at_the_second() -> None:
    once, again = json.dumps(GOOD), json.dumps({**GOOD, "priority": 2})
    text = f'{{"configs": [\n{once},\n{again}\n]}}'
    (refusal,) = importing.import_text(text).refused
    assert (refusal.line, refusal.site_id) == (3, "leon")
    assert "twice" in str(refusal)
    assert state() == []


def test_a_site_twice_by_name_is_refused() -> None:
    one = json.dumps(GOOD)
    with pytest.raises(importing.Malformed, match="leon: there twice"):
        importing.import_text(f'{{"leon": {one}, "leon": {one}}}')
    assert state() == []


def test_a_field_twice_is_refused() -> None:
    text = '{"leon":\n {"active": true, "active": false}}'
    (refusal,) = importing.import_text(text).refused
    assert refusal.line == 2
    assert "active is there twice" in str(refusal)


def test_a_site_that_is_called_something_else_inside_is_refused() -> None:
    text = '{"leon": ' + json.dumps({**GOOD, "site_id": "palencia"}) + "}"
    assert importing.import_text(text).refused
    assert state() == []


def test_braces_and_quotes_in_texts_do_not_move_the_line() -> None:
    tricky = {**GOOD, "notes": '} { "site_id": "x" \\" {{'}
    text = text_of(tricky, {**GOOD, "site_id": "b", "priority": "x"})
    (refusal,) = importing.import_text(text).refused
    assert '"site_id": "b"' in text.splitlines()[refusal.line - 1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"configs": [\n  {"site_id": "a",}\n]}', r"line 2, column 1[89]: this is not JSON"),
        ("", "line 1, column 1: this is not JSON"),
        ("{", "line 1, column 2: this is not JSON"),
        ("[]", "Expected"),
        ('"a"', "Expected"),
        ('{"configs": {"a": 1}, "b": 2}', "Expected"),
        ('{"configs": ["a"]}', "must be an object"),
        ('{"a": 1}', "Expected"),
    ],
)
def test_a_text_in_neither_form_says_where(text: str, told: str) -> None:
    with pytest.raises(importing.Malformed, match=told):
        importing.import_text(text)
    assert state() == []


# --- The commands -----------------------------------------------------------------------------


def test_the_command_reads_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "organismo_config.json"
    path.write_text(CONFIGS, encoding="utf-8-sig")
    assert "Written" in run("importorganismos", str(path))
    assert Organismo.objects.get(site_id="xaloc_girona").notes == "XALOC Girona - Multas de tráfico"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_command_reads_standard_input(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    # As on a machine whose console is not UTF-8.
    piped = io.TextIOWrapper(io.BytesIO(CONFIGS.encode(encoding)), encoding="cp1252")
    monkeypatch.setattr(sys, "stdin", piped)
    told = json.loads(run("importorganismos", "-", "--json"))
    assert told["created"] == ["xaloc_girona", "madrid"]
    assert "tráfico" in Organismo.objects.get(site_id="xaloc_girona").notes


def test_the_command_s_dry_run_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(CONFIGS)
    told = run("importorganismos", str(path), "--dry-run")
    assert "Nothing written" in told
    assert "madrid" in told
    assert state() == []


def test_the_command_fails_where_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text_of(GOOD, {**GOOD, "site_id": "b", "active": "si"}))
    told = io.StringIO()
    with pytest.raises(CommandError, match="Nothing was written"):
        call_command("importorganismos", str(path), "--json", stdout=told)
    (refusal,) = json.loads(told.getvalue())["refused"]
    assert (refusal["line"], refusal["site_id"]) == (10, "b")
    assert state() == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (b"\xff\xfe{", "utf-8"),
        (b'{"configs": [}', "line 1, column 14"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError, match=told):
        run("importorganismos", str(path))


def test_the_export_is_what_the_import_reads(tmp_path: Path) -> None:
    importing.import_text(CONFIGS)
    path = tmp_path / "a.json"
    path.write_text(run("exportorganismos"))
    told = json.loads(run("importorganismos", str(path), "--json"))
    assert sorted(told["unchanged"]) == ["madrid", "xaloc_girona"]
    assert (told["created"], told["updated"]) == ([], {})
