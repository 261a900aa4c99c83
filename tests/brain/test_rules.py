"""What makes a case ours: the pure rules, by table and by property."""

from __future__ import annotations

import json
import string
import uuid
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain import rules
from brain.rules import AttachmentDemand, Case, MotivoText, SiteRules, Verdict

XALOC = r"^\d{4}/\d{6}-MUL$"
PORTAL = "https://xvia.example.test/recursos?Expedient={expediente}&id={idRecurso}&_token={token}"
DENUNCIA = MotivoText("denuncia", "Alegaciones {expediente}", "{sujeto_recurso} expone", "Archivo")
SANCION = MotivoText("Sanción", "Recurso {expediente}", "expone", "solicita")
SITE = SiteRules("xaloc_girona", XALOC, PORTAL, motivos=(DENUNCIA, SANCION))
ROW: dict[str, Any] = {
    "idRecurso": Decimal("4711"),
    "idExp": Decimal("90.0"),
    "Expedient": "2025/160585-MUL",
    "Organisme": "XALOC GIRONA ",
    "TExp": 2,
    "Estado": 0,
    "numclient": 33,
    "SujetoRecurso": " Núria Inventada Puig ",
    "FaseProcedimiento": "NOTIFICACIÓN DE LA  DENUNCIA",
    "UsuarioAsignado": None,
}

any_text = st.text(st.characters(), max_size=60)  # with control characters and surrogates
any_value = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | any_text
    | st.binary(max_size=20)
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.uuids()
    | st.timedeltas()
)
numbers = st.from_regex(r"[ ]?[0-9]{4} ?[-/] ?[0-9]{5,6} ?[-/] ?(MUL|mu|Mu)[ ]?", fullmatch=True)
names = st.text(string.ascii_uppercase + " '.", min_size=1).map(str.strip).filter(bool)


def case_with(**columns: Any) -> Case:
    return Case.from_row({**ROW, **columns})


def as_json(value: Any) -> str:
    """As PostgreSQL takes it: no NaN, no NUL, no half of a surrogate pair."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in text.replace("\\\\", "")
    assert text.encode()
    return text


# --- Filters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("%XALOC%", ["%XALOC%"]),
        ("%GESTION% %MULTAS% %MADRID%", ["%GESTION%", "%MULTAS%", "%MADRID%"]),
        ("%SANT CUGAT%", ["%SANT CUGAT%"]),
        ("%A B% %C%", ["%A B%", "%C%"]),
        ("  %A%\t\n%B%  ", ["%A%", "%B%"]),
        ("%A %B%", ["%A %B%"]),
        ("%A% B%", ["%A% B%"]),
        ("%A%%B%", ["%A%%B%"]),
        ("XALOC", ["XALOC"]),
    ],
)
def test_patterns_are_split_only_where_two_percent_signs_meet(
    text: str, patterns: list[str]
) -> None:
    assert rules.split_patterns(text) == patterns


@pytest.mark.parametrize("text", ["", "  ", "%", "%%", "_", "% _ %", "%XALOC% %", "%XALOC% %_%"])
def test_a_pattern_that_would_match_everything_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"matches everything. Write a part of a name, as %XALOC%"):
        rules.split_patterns(text)


@pytest.mark.parametrize("text", ["%[XY]ALOC%", "%XALOC% %A]%"])
def test_a_pattern_that_two_databases_read_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="square bracket"):
        rules.split_patterns(text)


@given(st.lists(names, min_size=1, max_size=6), st.sampled_from([" ", "  ", "\t", "\n "]))
def test_splitting_never_loses_a_pattern(words: list[str], between: str) -> None:
    patterns = [f"%{word}%" for word in words]
    assert rules.split_patterns(between.join(patterns)) == patterns


@pytest.mark.parametrize(
    ("text", "values"),
    [("2,3", [2, 3]), (" 3 , 2 ", [3, 2]), ("2,3,2,02", [2, 3]), ("0", [0])],
)
def test_texp_is_a_list_of_numbers_each_once_in_order(text: str, values: list[int]) -> None:
    assert rules.parse_texp(text) == values


@pytest.mark.parametrize("text", ["", " ", ",", "2,", "2;3", "-1", "1.5", "two", "٣", "9999999999"])
def test_a_texp_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a TExp"):
        rules.parse_texp(text)


def test_the_expression_of_the_known_site_matches_its_own_numbers() -> None:
    pattern = rules.compile_regex(XALOC)
    assert pattern.search("2025/160585-MUL")
    assert not pattern.search("2025/11504-MUL")
    assert not pattern.search("2025/160585-MUL\n")
    assert rules.compile_regex(XALOC) is pattern


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r"^\d{4}/(?=\d)", r"invalid perl operator: \(\?=.*RE2 has no lookaheads"),
        (r"(a)\1", r"invalid escape sequence: \\1.*backreferences"),
        ("(", r"missing \)"),
        ("a{2000}", "invalid repetition size"),
        ("(\ud800", r"missing \)"),
        ("", "accepts everything"),
        ("  ", "accepts everything"),
    ],
)
def test_a_bad_expression_is_refused_with_its_reason(
    text: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=reason):
        rules.compile_regex(text)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("TExp=1", {"TExp": 1}),
        ("Estado=1", {"Estado": 1}),
        ("TExp=1,Estado=1", {"TExp": 1, "Estado": 1}),
        (" estado = 1 , TEXP=1 ", {"TExp": 1, "Estado": 1}),
    ],
)
def test_the_claimed_when_rule_is_read(text: str, rule: dict[str, int]) -> None:
    assert rules.parse_claimed_when(text) == rule


@pytest.mark.parametrize(
    "text",
    ["", "TExp", "TExp=2", "TExp=01", "TExp=1,", "TExp=1,TExp=1", "TExp=1 Estado=1", "numclient=1"],
)
def test_another_claimed_when_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Write TExp=1, Estado=1 or TExp=1,Estado=1"):
        rules.parse_claimed_when(text)


# --- Links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        PORTAL,
        "http://xvia.example.test/recursos/{idRecurso}",
        "https://[::1]:8443/{expediente}",
        "HTTPS://xvia.example.test:8443?e={expediente}",
        "https://xvia.example.test/#a@b",
    ],
)
def test_a_good_template_passes(text: str | None) -> None:
    assert rules.check_template(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://h.test/{matricula}", r"There is no placeholder \{matricula\}"),
        ("https://h.test/{}", r"There is no placeholder \{\}"),
        ("https://h.test/{0}", r"\{0\}"),
        ("https://h.test/{Expediente}", r"\{Expediente\}"),
        ("https://h.test/{ expediente }", r"\{ expediente \}"),
        ("https://h.test/{expediente.__class__}", r"\{expediente.__class__\}"),
        ("https://h.test/{expediente[0]}", r"\{expediente\[0\]\}"),
        ("https://h.test/{expediente!r}", r"\{expediente!r\}"),
        ("https://h.test/{idRecurso:>9}", r"\{idRecurso:>9\}"),
        ("https://h.test/{expediente", "brace has no partner"),
        ("https://h.test/expediente}", "brace has no partner"),
        ("https://h.test/{{token}}", "brace has no partner"),
        ("ftp://h.test/{expediente}", "must start with http"),
        ("javascript:alert({expediente})", "must start with http"),
        ("//h.test/{expediente}", "must start with http"),
        ("{expediente}://h.test/", "must start with http"),
        ("https:{expediente}", "must start with http"),
        ("https:///{expediente}", "name a host"),
        ("https://{expediente}/", "host must be fixed"),
        ("https://h.test{expediente}/", "host must be fixed"),
        ("https://h.test:{idRecurso}/", "host must be fixed"),
        ("https://ana:{token}@h.test/", "user or password"),
        ("https://h.test\\{expediente}", "backslash"),
        ("https://h.test/\n{expediente}", "invisible"),
        ("https://h.test/\x7f{expediente}", "invisible"),
    ],
)
def test_a_bad_template_is_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rules.check_template(text)


@pytest.mark.parametrize("text", ["", "https://h.test", "http://h.test:8000/login?next=/a#b"])
def test_a_good_url_passes(text: str) -> None:
    assert rules.check_url(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "h.test/login",
        "file:///etc/passwd",
        "https://",
        "https://:443/",
        "https://h.test:port/",
        "https://[::1/",
        "https://h.test/a b",
        "https://ana:secret-word@h.test/",
        "https://ana:secret-word@[h.test/",
        "https://ana@h.test/",
    ],
)
def test_a_bad_url_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"[Ww]rite|must|[Rr]emove") as refusal:
        rules.check_url(text)
    assert "secret-word" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_link_quotes_its_values_and_leaves_the_token_for_the_session() -> None:
    link = rules.build_link(PORTAL, expediente="2025/160585-MUL&id=1", id_recurso=7)
    assert link == (
        "https://xvia.example.test/recursos?Expedient=2025%2F160585-MUL%26id%3D1&id=7&_token={token}"
    )


@pytest.mark.parametrize("template", [None, ""])
def test_without_a_template_there_is_no_link(template: str | None) -> None:
    assert rules.build_link(template, expediente="2025/160585-MUL", id_recurso=7) == ""


def test_a_number_that_looks_like_a_placeholder_is_not_filled_in() -> None:
    link = rules.build_link("https://h.test/{expediente}", expediente="{token}", id_recurso=7)
    assert link == "https://h.test/%7Btoken%7D"


@given(st.text(), st.integers(min_value=1))
def test_a_link_gives_its_number_back_when_unquoted(number: str, id_recurso: int) -> None:
    template = "https://h.test/{idRecurso}?e={expediente}"
    link = rules.build_link(template, expediente=number, id_recurso=id_recurso)
    parts = urlsplit(link)
    assert (parts.netloc, parts.path, parts.fragment) == ("h.test", f"/{id_recurso}", "")
    assert unquote(parts.query.removeprefix("e=")) == number


# --- Rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (Decimal("4711"), 4711),
        (Decimal("4711.00"), 4711),
        (Decimal("1E+3"), 1000),
        (Decimal("10.50"), "10.50"),
        (Decimal("NaN"), "NaN"),
        (Decimal("1E+999999"), "1E+999999"),
        (datetime(2026, 1, 29, 10, 30), "2026-01-29T10:30:00"),
        (datetime(2026, 1, 29, tzinfo=UTC), "2026-01-29T00:00:00+00:00"),
        (date(2026, 1, 29), "2026-01-29"),
        (time(10, 30), "10:30:00"),
        ("a\0b", "ab"),
        ("a\ud800b\n", "a\ufffdb\n"),
        ("Núria 🚗", "Núria 🚗"),
        (b"\x00\xff", "00ff"),
        (memoryview(b"\x01"), "01"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_a_value_of_a_row_becomes_what_json_holds(value: Any, plain: Any) -> None:
    normal = rules.normalise(value)
    assert normal == plain
    assert type(normal) is type(plain)


@given(st.dictionaries(st.text(string.ascii_letters), any_value))
def test_a_normalised_row_survives_json_and_normalising_again(row: dict[str, Any]) -> None:
    normal = rules.normalise_row(row)
    assert json.loads(as_json(normal)) == normal
    assert rules.normalise_row(normal) == normal


def test_a_case_is_read_from_a_row_of_the_origin() -> None:
    case = case_with(UsuarioAsignado=" BOT_MULTIVIA ", FAlta=datetime(2026, 1, 29))
    assert (case.id_recurso, case.id_exp, case.numclient) == (4711, 90, 33)
    assert (case.texp, case.estado) == (2, 0)
    assert case.organisme == "XALOC GIRONA"
    assert case.sujeto_recurso == "Núria Inventada Puig"
    assert case.usuario_asignado == "BOT_MULTIVIA"
    assert case.row["idRecurso"] == 4711
    assert case.row["FAlta"] == "2026-01-29T00:00:00"
    with pytest.raises(FrozenInstanceError):
        case.texp = 3  # type: ignore[misc]


def test_a_null_in_the_origin_is_no_text_and_no_number() -> None:
    case = Case.from_row(dict.fromkeys(ROW))
    assert (case.id_recurso, case.id_exp, case.numclient, case.texp) == (0, None, None, None)
    assert (case.expediente, case.sujeto_recurso, case.usuario_asignado) == ("", "", "")


def test_the_number_is_kept_with_its_blanks_since_the_origin_is_asked_for_it() -> None:
    assert case_with(Expedient=" 2025/160585-mul ").expediente == " 2025/160585-mul "


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("33", 33),
        (" 33 ", 33),
        (33.0, 33),
        (Decimal("33.5"), None),
        ("A-33", None),
        (True, None),
        (2**63, None),
        (date(2026, 1, 29), None),
        (float("inf"), None),
    ],
)
def test_an_id_is_a_whole_number_or_nothing(value: Any, number: int | None) -> None:
    assert case_with(numclient=value).numclient == number


# --- Repair ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("2026-11504-MUL", "2026/11504-MUL"),
        ("2026/11504-MU", "2026/11504-MUL"),
        ("2026-11504-MU", "2026/11504-MUL"),
        ("  2026/11504-mul ", "2026/11504-MUL"),
        ("2026 / 11504 - MUL", "2026/11504-MUL"),
        ("2026 - 11504 -mu", "2026/11504-MUL"),
        ("2026/11504-MUL", "2026/11504-MUL"),
        ("26-11504-MUL", "26-11504-MUL"),
        ("EXP 12026-5", "EXP 12026-5"),
        ("2026/11504-EMU", "2026/11504-EMU"),
        ("", ""),
    ],
)
def test_a_number_is_repaired(text: str, repaired: str) -> None:
    assert rules.repair_expediente(text) == repaired


@given(st.text() | numbers)
def test_repairing_twice_is_repairing_once(text: str) -> None:
    repaired = rules.repair_expediente(text)
    assert rules.repair_expediente(repaired) == repaired


# --- Attachments ----------------------------------------------------------------------------------


def test_attachments_are_read() -> None:
    intranet = {"name": "recurso.pdf", "source": "intranet", "path": "/recursos/{idRecurso}/pdf"}
    folder = {"name": "poder.pdf", "source": "folder", "path": "{numclient}/poder {idExp}.pdf"}
    authorisation = {"name": "autorización.pdf", "source": "authorisation"}
    assert rules.parse_attachments([intranet, folder, authorisation]) == [
        AttachmentDemand(**intranet),
        AttachmentDemand(**folder),
        AttachmentDemand("autorización.pdf", "authorisation", ""),
    ]
    assert rules.parse_attachments([]) == []


@pytest.mark.parametrize("value", [None, {}, "[]", 3])
def test_attachments_that_are_no_list_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="must be a list of objects"):
        rules.parse_attachments(value)


GOOD = {"name": "recurso.pdf", "source": "intranet", "path": "/pdf"}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("recurso.pdf", "Write an object"),
        ({**GOOD, "path": None}, "Write an object"),
        ({**GOOD, "nombre": "x"}, "no setting “nombre”"),
        ({}, "not a plain file name"),
        ({**GOOD, "name": "a/b.pdf"}, "“a/b.pdf” is not a plain file name"),
        ({**GOOD, "name": "a\\b.pdf"}, "not a plain file name"),
        ({**GOOD, "name": ".pdf"}, "not a plain file name"),
        ({**GOOD, "name": ".."}, "not a plain file name"),
        ({**GOOD, "name": " a.pdf"}, "not a plain file name"),
        ({**GOOD, "name": "a.pdf "}, "not a plain file name"),
        ({**GOOD, "name": "a\n.pdf"}, "not a plain file name"),
        ({**GOOD, "name": "{expediente}.pdf"}, "not a plain file name"),
        ({**GOOD, "name": "a" * 101}, "not a plain file name"),
        ({**GOOD, "name": "RECURSO.pdf"}, "“RECURSO.pdf” is taken"),
        ({"name": "b.pdf", "source": "s3", "path": "/b"}, "no source “s3”"),
        ({"name": "b.pdf", "source": "intranet"}, "path is missing"),
        ({"name": "b.pdf", "source": "intranet", "path": "b"}, "starts with /"),
        ({"name": "b.pdf", "source": "intranet", "path": "/{token}"}, r"no placeholder \{token\}"),
        ({"name": "b.pdf", "source": "intranet", "path": "/{idExp"}, "brace has no partner"),
        ({"name": "b.pdf", "source": "intranet", "path": "/a/../b"}, "must not climb"),
        ({"name": "b.pdf", "source": "folder", "path": " "}, "path is missing"),
        ({"name": "b.pdf", "source": "folder", "path": "/etc/b"}, "inside the folder"),
        ({"name": "b.pdf", "source": "folder", "path": "C:/b"}, "inside the folder"),
        ({"name": "b.pdf", "source": "folder", "path": "../b"}, "must not climb"),
        ({"name": "b.pdf", "source": "folder", "path": "a\\..\\b"}, "backslash"),
        ({"name": "b.pdf", "source": "folder", "path": "a/\0b"}, "invisible"),
        ({"name": "b.pdf", "source": "folder", "path": "{matricula}"}, r"\{matricula\}"),
        ({"name": "b.pdf", "source": "authorisation", "path": "b"}, "Remove the path"),
    ],
)
def test_a_bad_attachment_is_refused_with_its_position(item: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^Attachment 2: .*{reason}"):
        rules.parse_attachments([GOOD, item])


def test_a_second_authorisation_is_refused_since_one_file_answers_both() -> None:
    demands = [{"name": name, "source": "authorisation"} for name in ("a.pdf", "b.pdf")]
    with pytest.raises(ValueError, match=r"^Attachment 2: .*demanded already"):
        rules.parse_attachments(demands)


def test_the_path_on_the_intranet_is_quoted() -> None:
    demand = AttachmentDemand(
        "a.pdf", "intranet", "/r/{idRecurso}/{idExp}/{numclient}?e={expediente}"
    )
    assert demand.path_for(case_with()) == "/r/4711/90/33?e=2025%2F160585-MUL"


def test_the_path_in_the_folder_has_no_slashes_of_the_case() -> None:
    demand = AttachmentDemand("a.pdf", "folder", "clientes/{numclient}/{expediente}.pdf")
    assert demand.path_for(case_with()) == "clientes/33/2025-160585-MUL.pdf"
    assert demand.path_for(case_with(Expedient='a\\b:c*"\n')) == "clientes/33/a-b-c--.pdf"


@pytest.mark.parametrize("number", [None, "", ".", "..", " .. ", "...."])
@pytest.mark.parametrize("source", ["intranet", "folder"])
def test_a_number_that_would_climb_or_vanish_becomes_a_dash(source: str, number: Any) -> None:
    demand = AttachmentDemand("a.pdf", source, "/a/{expediente}/b")
    assert demand.path_for(case_with(Expedient=number)) == "/a/-/b"


@given(any_text | st.sampled_from(["..", "../..", "/etc/passwd", "..\\..", "{numclient}"]))
def test_no_number_leaves_the_folder_or_adds_to_its_depth(number: str) -> None:
    demand = AttachmentDemand("a.pdf", "folder", ".{expediente}./{numclient}{expediente}/a")
    path = demand.path_for(case_with(Expedient=number, numclient=None))
    parts = PurePosixPath(path).parts
    assert len(parts) == 3
    assert ".." not in parts
    assert path.encode()
    assert not set(path.replace("/", "")) & set('\\:*?"<>|\0\n')


# --- Motivos --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("PROPUESTA DE RESOLUCIÓN", "propuesta de resolucion"),
        ("  Subsanación \n y   mejora ", "subsanacion y mejora"),
        ("Año İstanbul", "ano istanbul"),
        ("", ""),
    ],
)
def test_folding_drops_accents_case_and_spare_blanks(text: str, folded: str) -> None:
    assert rules.fold(text) == folded


@given(any_text)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert rules.fold(rules.fold(text)) == rules.fold(text)


@pytest.mark.parametrize(
    ("phase", "motivo"),
    [
        ("Notificación de DENUNCIA", DENUNCIA),
        ("SANCION firme", SANCION),
        ("sanción tras denuncia", DENUNCIA),
        ("apremio", None),
        ("", None),
        (None, None),
    ],
)
def test_the_first_motivo_whose_key_the_phase_contains_is_chosen(
    phase: str | None, motivo: MotivoText | None
) -> None:
    assert rules.choose_motivo(phase, (DENUNCIA, SANCION)) == motivo


def test_a_motivo_with_a_blank_key_fits_no_phase() -> None:
    assert rules.choose_motivo("denuncia", (replace(SANCION, key=" "), DENUNCIA)) == DENUNCIA


def test_a_motivo_is_filled_in_and_other_braces_survive() -> None:
    motivo = MotivoText("x", "{expediente} {otro} {", "{sujeto_recurso} {}", "{0} % {expediente!r}")
    assert rules.fill_motivo(motivo, "2025/1-MUL", "Ana {expediente}") == {
        "asunto": "2025/1-MUL {otro} {",
        "expone": "Ana {expediente} {}",
        "solicita": "{0} % {expediente!r}",
    }


# --- The judgement --------------------------------------------------------------------------------


def test_a_good_case_is_accepted_with_its_link_and_payload() -> None:
    judgement = rules.judge(case_with(), SITE)
    link = "https://xvia.example.test/recursos?Expedient=2025%2F160585-MUL&id=4711&_token={token}"
    assert judgement.verdict == Verdict.ACCEPTED == "accepted"
    assert (judgement.reason, judgement.missing, judgement.repaired_from) == ("", (), "")
    assert judgement.expediente == "2025/160585-MUL"
    assert judgement.link == link
    assert judgement.payload == {
        "idRecurso": 4711,
        "idExp": 90,
        "expediente": "2025/160585-MUL",
        "numclient": 33,
        "sujeto_recurso": "Núria Inventada Puig",
        "fase_procedimiento": "NOTIFICACIÓN DE LA  DENUNCIA",
        "direct_url": link,
        "source": "brain_orchestrator",
        "claimed_at": None,
        "motivos": {
            "asunto": "Alegaciones 2025/160585-MUL",
            "expone": "Núria Inventada Puig expone",
            "solicita": "Archivo",
        },
    }


def test_the_payload_has_the_plate_and_the_company_where_the_row_has_them() -> None:
    case = case_with(matricula=" 0000BBB ", Empresa="Flota Inventada SL", cif=None, notas="x")
    payload = rules.build_payload(case, "2025/160585-MUL", "", {})
    assert payload["matricula"] == "0000BBB"
    assert payload["empresa"] == "Flota Inventada SL"
    assert not {"cif", "notas", "Empresa"} & set(payload)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (None, "has no number (Expedient)"),
        ("", "has no number (Expedient)"),
        (" \0 ", "has no number (Expedient)"),
        ("2025/11504-MUL", rf"“2025/11504-MUL” is not of the format {XALOC}. Correct it"),
        ("2025/160585-MUL ", "but “2025/160585-MUL” is."),
        ("2025-160585-mu", "but “2025/160585-MUL” is."),
        ("2025/160585-MUL" + " " * 300, "is longer than 300"),
        ("X" * 301, f"“{'X' * 79}…” is longer than 300"),
        ("a\nb", "“a\ufffdb” is not"),
    ],
)
def test_a_case_without_a_usable_number_is_discarded_with_its_reason(
    number: Any, reason: str
) -> None:
    judgement = rules.judge(case_with(Expedient=number), SITE)
    assert judgement.verdict == Verdict.DISCARDED
    assert reason in judgement.reason
    assert (judgement.expediente, judgement.link, judgement.payload) == ("", "", {})


@pytest.mark.parametrize("repair", ["use", "write"])
def test_a_number_is_repaired_where_the_organismo_wants_that(repair: str) -> None:
    site = replace(SITE, repair=repair)
    judgement = rules.judge(case_with(Expedient=" 2025-160585-mu"), site)
    assert judgement.verdict == Verdict.ACCEPTED
    assert judgement.expediente == judgement.payload["expediente"] == "2025/160585-MUL"
    assert judgement.repaired_from == judgement.case.expediente == " 2025-160585-mu"
    assert "2025%2F160585-MUL" in judgement.link
    assert judgement.payload["motivos"]["asunto"] == "Alegaciones 2025/160585-MUL"


def test_a_number_that_fits_as_it_is_is_left_alone() -> None:
    site = replace(SITE, regex="^2025-[0-9]+-MU$", repair="write")
    judgement = rules.judge(case_with(Expedient="2025-160585-MU"), site)
    assert (judgement.expediente, judgement.repaired_from) == ("2025-160585-MU", "")


def test_what_no_repair_helps_is_discarded() -> None:
    for number in ("2025-11504-MUL", "2025/160585-MUL" + " " * 300):
        judgement = rules.judge(case_with(Expedient=number), replace(SITE, repair="use"))
        assert judgement.verdict == Verdict.DISCARDED


def test_a_number_that_its_repair_makes_too_long_is_discarded() -> None:
    site = replace(SITE, regex="-MUL$", repair="use")
    assert rules.judge(case_with(Expedient="X" * 296 + "-MU"), site).verdict == Verdict.ACCEPTED
    assert rules.judge(case_with(Expedient="X" * 297 + "-MU"), site).verdict == Verdict.DISCARDED


def test_half_of_a_surrogate_pair_breaks_neither_the_expression_nor_the_link() -> None:
    case = replace(case_with(), expediente="2025/\ud800")
    judgement = rules.judge(case, replace(SITE, regex="^2025/.$"))
    assert judgement.verdict == Verdict.ACCEPTED
    assert "Expedient=2025%2F%3F&" in judgement.link


def test_the_expression_brings_its_own_anchors() -> None:
    case = case_with(Expedient="EXP 2025/160585-MUL bis")
    assert rules.judge(case, replace(SITE, regex=r"\d{4}/\d{6}-MUL")).verdict == Verdict.ACCEPTED
    assert rules.judge(case, SITE).verdict == Verdict.DISCARDED


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        ({"idRecurso": None}, ("idRecurso",)),
        ({"idExp": None}, ("idExp",)),
        ({"numclient": "unknown"}, ("numclient",)),
        ({"SujetoRecurso": "  "}, ("sujeto_recurso",)),
        ({"FaseProcedimiento": None}, ("fase_procedimiento", "motivos")),
        ({"FaseProcedimiento": "apremio"}, ("motivos",)),
        ({"idExp": None, "SujetoRecurso": "\0"}, ("idExp", "sujeto_recurso")),
    ],
)
def test_a_case_that_lacks_a_required_field_is_incomplete_with_the_list(
    columns: dict[str, Any], missing: tuple[str, ...]
) -> None:
    judgement = rules.judge(case_with(**columns), SITE)
    assert judgement.verdict == Verdict.INCOMPLETE
    assert judgement.missing == missing
    assert judgement.reason
    assert judgement.payload["expediente"] == judgement.expediente == "2025/160585-MUL"


def test_the_reason_of_an_incomplete_case_says_what_to_do() -> None:
    case = case_with(idExp=None, FaseProcedimiento="Apremio " + "x" * 100)
    reason = rules.judge(case, SITE).reason
    assert "lacks idExp. Fill that in in the origin." in reason
    assert f"fits the phase “Apremio {'x' * 71}…”. Add one" in reason
    without_phase = rules.judge(case_with(FaseProcedimiento=""), SITE).reason
    assert without_phase == "The case lacks fase_procedimiento. Fill that in in the origin."


def test_a_client_number_of_zero_is_a_number() -> None:
    assert rules.judge(case_with(numclient=0, idExp=0), SITE).verdict == Verdict.ACCEPTED


rows = st.fixed_dictionaries(
    {name: any_value for name in ROW} | {"Expedient": any_value | numbers},
    optional=dict.fromkeys(("matricula", "Empresa", "cif", "notas", "FAlta"), any_value),
)
sites = st.builds(
    SiteRules,
    site_id=st.just("xaloc_girona"),
    regex=st.sampled_from([XALOC, ".", "^2"]),
    url_template=st.sampled_from([None, "", PORTAL]),
    repair=st.sampled_from(["off", "use", "write"]),
    motivos=st.sampled_from([(), (DENUNCIA, SANCION), (replace(SANCION, key="a"),)]),
)


@given(rows, sites)
def test_any_row_gets_a_judgement_that_json_holds(row: dict[str, Any], site: SiteRules) -> None:
    judgement = rules.judge(Case.from_row(row), site)
    as_json([judgement.case.row, judgement.payload, judgement.reason, judgement.link])
    as_json([judgement.expediente, judgement.repaired_from, judgement.missing])
    assert (judgement.verdict == Verdict.ACCEPTED) == (judgement.reason == "")
    assert (judgement.verdict == Verdict.INCOMPLETE) == bool(judgement.missing)
    assert (judgement.verdict == Verdict.DISCARDED) == (judgement.payload == {})


@given(st.dictionaries(st.sampled_from(sorted(ROW)), any_value), sites)
def test_a_row_that_lacks_columns_is_judged_too(row: dict[str, Any], site: SiteRules) -> None:
    assert rules.judge(Case.from_row(row), site).verdict in Verdict


@given(numbers)
def test_an_accepted_number_is_always_of_the_format(number: str) -> None:
    judgement = rules.judge(case_with(Expedient=number), replace(SITE, repair="use"))
    fits = rules.compile_regex(XALOC).search(rules.repair_expediente(number)) is not None
    assert (judgement.verdict == Verdict.ACCEPTED) == fits
    if fits:
        assert rules.compile_regex(XALOC).search(judgement.expediente)
