"""Parsers: what they read, and what strangers' files do to them."""

from __future__ import annotations

import asyncio
import os
import shutil
from datetime import date, datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import openpyxl
import pytest
from PIL import Image, ImageDraw, ImageFont

from orchestrator_site.demo.world.pdf import pdf
from queues.browser import parsing
from queues.browser.parsers import documents, invoices, tables
from queues.browser.parsers.rows import Unparsable
from tests.machine import wait_for

INVOICE = (
    "Factura F-2026/17  Fecha 03/11/2026",
    "Consulta de expedientes    1.200,00 €",
    "Descuento    -200,50 €",
    "Total 999,50 €",
)


def written(folder: Path, content: bytes | str, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "name,sum\nJosé,1\n".encode(),
        "\ufeffname;sum\r\nJosé;1\r\n".encode(),
        "name\tsum\nJosé\t1".encode("cp1252"),
        '\n"name" , sum\n"José", 1\n\n'.encode(),
    ],
)
def test_a_csv_table_whatever_its_delimiter_and_encoding(tmp_path: Path, content: bytes) -> None:
    (row,) = tables.csv_rows(written(tmp_path, content))
    assert {name.strip(): value for name, value in row.items()} == {"name": "José", "sum": "1"}


def test_a_column_without_a_name_or_with_a_second_one(tmp_path: Path) -> None:
    (row,) = tables.csv_rows(written(tmp_path, "a,,a\n1,2,3\n"))
    assert row == {"a": "1", "column 2": "2", "a (3)": "3"}


@pytest.mark.parametrize("content", ["", "\n \n", "a,b\n1,2,3\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(Unparsable):
        list(tables.csv_rows(written(tmp_path, content)))


def test_the_first_sheet_of_a_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["name", "on", "at", "sum"])
    book.active.append(["José", date(2026, 11, 3), datetime(2026, 11, 3, 9, 30), 12.5])
    book.save(tmp_path / "book.xlsx")
    assert list(tables.xlsx_rows(tmp_path / "book.xlsx")) == [
        {"name": "José", "on": "2026-11-03", "at": "2026-11-03T09:30:00", "sum": "12.5"}
    ]


def test_a_workbook_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(Unparsable, match="XLSX"):
        list(tables.xlsx_rows(written(tmp_path, b"PK\x03\x04 and no more", "x.xlsx")))


def test_the_text_of_a_pdf(tmp_path: Path) -> None:
    path = written(tmp_path, pdf(["Hola señora", "dos"]))
    assert list(documents.pdf_text(path)) == [{"page": "1", "text": "Hola señora\ndos"}]


@pytest.mark.parametrize("content", [b"", b"%PDF-1.4 and no more", b"<html>", pdf([])])
def test_a_pdf_that_says_nothing(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Unparsable):
        list(documents.pdf_text(written(tmp_path, content)))


def test_the_lines_of_an_invoice(tmp_path: Path) -> None:
    found = list(invoices.invoice_pdf(written(tmp_path, pdf(INVOICE))))
    assert [row["amount"] for row in found] == ["1200.00", "-200.50"]
    assert found[0] == {
        "number": "F-2026/17",
        "date": "2026-11-03",
        "concept": "Consulta de expedientes",
        "amount": "1200.00",
    }


@pytest.mark.parametrize(
    ("line", "other"), [(1, "Consulta    1.200,01 €"), (0, "Factura 1 Fecha 31/02/2026"), (3, "")]
)
def test_an_invoice_that_does_not_add_up(tmp_path: Path, line: int, other: str) -> None:
    lines = [*INVOICE]
    lines[line] = other
    with pytest.raises(Unparsable):
        list(invoices.invoice_pdf(written(tmp_path, pdf(lines))))


def parsed(parser: str, path: Path, seconds: float = 20) -> list[dict[str, str]]:
    return asyncio.run(parsing.rows_of(parser, path, seconds))


def test_a_parser_runs_in_a_process_without_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPT_SIGNING_SECRET", "x" * 40)
    assert parsed("csv", written(tmp_path, "a\n1\n")) == [{"a": "1"}]
    assert "SCRIPT_SIGNING_SECRET" not in parsing.KEPT


def test_a_bomb_does_not_take_the_worker_along(tmp_path: Path) -> None:
    """A sheet that unpacks to far more: the parser alone ends."""
    book = openpyxl.Workbook()
    book.save(tmp_path / "small.xlsx")
    bomb = tmp_path / "bomb.xlsx"
    row = b"<row><c t='inlineStr'><is><t>" + b"a" * 2**20 + b"</t></is></c></row>"
    with (
        ZipFile(tmp_path / "small.xlsx") as small,
        ZipFile(bomb, "w", ZIP_DEFLATED, compresslevel=1) as made,
    ):
        for name in small.namelist():
            if name != "xl/worksheets/sheet1.xml":
                made.writestr(name, small.read(name))
                continue
            with made.open(name, "w", force_zip64=True) as sheet:
                sheet.write(b"<worksheet xmlns='http://schemas.openxmlformats.org/")
                sheet.write(b"spreadsheetml/2006/main'><sheetData>")
                for _ in range(120):
                    sheet.write(row)
                sheet.write(b"</sheetData></worksheet>")
    with pytest.raises((Unparsable, TimeoutError)):
        parsed("xlsx", bomb, 1.5)


def test_a_parser_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        parsed("csv", written(tmp_path, "a\n1\n"), 0.001)


def test_a_file_that_is_too_large_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(parsing.LARGEST + 1)
    with pytest.raises(Unparsable, match="MiB"):
        parsed("csv", path)


with_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="Tesseract is not installed"
)


def drawn(*lines: str) -> Image.Image:
    picture = Image.new("RGB", (700, 60 + 70 * len(lines)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(44)
    for number, line in enumerate(lines):
        pen.text((20, 20 + 70 * number), line, fill="black", font=font)
    return picture


@with_tesseract
@pytest.mark.parametrize("name", ["scan.png", "scan.pdf", "scan.tiff"])
def test_the_text_of_what_was_scanned(tmp_path: Path, name: str) -> None:
    first, second = drawn("Factura F-2026/17"), drawn("Total 999,50")
    if name.endswith("png"):
        first.save(tmp_path / name)
    else:
        first.save(tmp_path / name, save_all=True, append_images=[second])
    found = parsed("ocr", tmp_path / name)
    both = [{"page": "1", "text": "Factura F-2026/17"}, {"page": "2", "text": "Total 999,50"}]
    assert found == both[: len(found)] and len(found) == (1 if name.endswith("png") else 2)


@with_tesseract
@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n", b"%PDF-1.4 and no more"])
def test_a_picture_that_is_none(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Unparsable, match="that can be read"):
        list(documents.ocr(written(tmp_path, content)))


def test_what_a_parser_started_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Tesseract that never ends, and says which process it is."""
    began = tmp_path / "began"
    script = f"#!/bin/sh\necho $$ > {began}.new && mv {began}.new {began}\nexec sleep 60\n"
    written(tmp_path, script, "tesseract").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    drawn("x").save(tmp_path / "scan.png")

    async def cut_off() -> None:
        work = asyncio.ensure_future(parsing.rows_of("ocr", tmp_path / "scan.png", 30))
        while not began.exists() and not work.done():
            await asyncio.sleep(0.02)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cut_off())
    place = Path("/proc", began.read_text().strip(), "exe")
    wait_for(lambda: not place.exists(), "the end of Tesseract")


def test_without_tesseract_one_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytesseract.pytesseract.tesseract_cmd", "/nowhere/tesseract")
    with pytest.raises(Unparsable, match="tesseract-ocr"):
        list(documents.ocr(written(tmp_path, b"\x89PNG")))
