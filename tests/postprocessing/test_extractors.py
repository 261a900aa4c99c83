"""Complaints out of a really served "oficina virtual", by a real browser, into a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from orchestrator_site.demo.world import complaints, faults, oficina
from orchestrator_site.demo.world.complaints import Complaint
from postprocessing.extractors import oficina_virtual, visiting
from postprocessing.extractors.extraction import Extraction, NoExtractor
from postprocessing.extractors.flows import COMPLAINT, LABELS, OFICINA_VIRTUAL, Script
from postprocessing.extractors.incoming import SGC, Incoming, document_name
from postprocessing.extractors.oficina_virtual import OficinaVirtual
from postprocessing.extractors.visiting import Site
from postprocessing.models import FIELDS, company_called
from queues.browser.thread import BrowserThread
from tests.orchestrator_site.test_world import Visitor
from tests.postprocessing.offices import PASSWORD, USER, office
from tests.world import world_files, world_url

__all__ = ["office", "world_files", "world_url"]

AIRE = company_called("aire")
Extract = Callable[[], Extraction]
needs_browser = pytest.mark.chromium


class KeptBrowser(BrowserThread):
    """Serves every extraction of this module."""

    def close(self) -> None:
        """Not yet."""


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserThread]:
    kept = KeptBrowser()
    yield kept
    BrowserThread.close(kept)


@pytest.fixture
def extract(
    office: str, browser: BrowserThread, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Extract:
    monkeypatch.setattr(visiting, "BrowserThread", lambda *given: browser)
    return lambda: OficinaVirtual.of(AIRE).extract(AIRE, folder, lambda done, of: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "oficina_virtual" / "processed"


def records(folder: Path, sgc: str) -> list[dict[str, str]]:
    """Of one complaint, the oldest first."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{sgc}_data_*.json"))]


def written(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def names(folder: Path, one: Complaint) -> set[str]:
    return {path.name.removeprefix(f"{one.sgc}_") for path in folder.glob(f"{one.sgc}_*.pdf")}


@needs_browser
def test_a_complaint_comes_whole_and_again_only_where_it_has_changed(
    extract: Extract, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oficina, "PAGE_SIZE", 1)  # a list of two pages
    first, second = complaints.keep("aire", 2)
    assert extract() == Extraction(files_downloaded=5, pqr_processed=2)
    (record,) = records(folder, second.sgc)
    assert tuple(record) == FIELDS
    assert record["record_number"] == "2" and record["sgc_number"] == second.sgc
    assert record["page_title"] == f"Reclamo {second.sgc} - Air-e"
    assert record["page_url"].endswith(f"/oficina/aire/reclamos/{second.sgc}/")
    assert datetime.fromisoformat(record["extraction_timestamp"]).year >= 2025
    assert {name: record[name] for name in second.fields} == dict(second.fields)
    assert names(folder, first) == {"documento.pdf", "factura.pdf"}
    assert names(folder, second) == {"documento.pdf"}
    assert all(path.read_bytes().startswith(b"%PDF") for path in folder.glob("*.pdf"))
    assert [path.name for path in folder.parent.iterdir()] == ["processed"]

    (path,) = folder.glob(f"{first.sgc}_data_*.json")  # as if it were of another day
    path.rename(path.with_name(f"{first.sgc}_data_20250101_000000.json"))
    monkeypatch.setattr(oficina, "PAGE_SIZE", 10)
    before = written(folder)
    complaints.change("aire", first.sgc, estado_solicitud="Cerrada", comentarios="Notificada.")
    assert extract() == Extraction(files_downloaded=1, pqr_processed=2)
    assert before.items() <= written(folder).items()
    assert [one["comentarios"] for one in records(folder, first.sgc)] == [
        first.fields["comentarios"],
        "Notificada.",
    ]


@needs_browser
def test_what_one_complaint_lacks_does_not_keep_the_others_away(
    extract: Extract, folder: Path
) -> None:
    once, always, no_document = complaints.keep("aire", 3)
    faults.set_fault("aire", "expire_sessions", once.sgc, times=1)
    faults.set_fault("aire", "error500", once.sgc, times=1)
    faults.set_fault("aire", "error500", always.sgc)
    faults.set_fault("aire", "error500", no_document.sgc, value="documento")
    done = extract()
    assert [error.partition(":")[0] for error in done.errors] == [always.sgc, no_document.sgc]
    assert all("500" in error for error in done.errors)
    assert done.pqr_processed == 2
    assert [len(records(folder, one.sgc)) for one in (once, always, no_document)] == [1, 0, 1]


@needs_browser
def test_a_site_that_fails_complaint_after_complaint_is_given_up(
    extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oficina_virtual, "ENOUGH", 1)
    faults.set_fault("aire", "error500", value="reclamo")
    done = extract()
    assert len(done.errors) == 2 and "7 complaints were not looked at" in done.errors[-1]


@needs_browser
def test_a_site_that_does_not_let_us_in_is_an_error(
    extract: Extract, office: str, folder: Path
) -> None:
    site = Site(f"{office}/oficina/aire/", USER, "otra")
    done = OficinaVirtual(site).extract(AIRE, folder, lambda done, of: None)
    assert done == Extraction(errors=["The site refuses the user or the password."])


@needs_browser
def test_a_page_that_has_changed_is_an_error(extract: Extract, office: str, folder: Path) -> None:
    (one,) = complaints.keep("aire", 1)
    faults.set_fault("aire", "changed_page", value="reclamo")
    steps = [step | ({"timeout": 0.3} if step["do"] == "wait" else {}) for step in COMPLAINT]
    flows = replace(OFICINA_VIRTUAL, complaint=Script.of(steps))
    site = Site(f"{office}/oficina/aire/", USER, PASSWORD, flows)
    done = OficinaVirtual(site).extract(AIRE, folder, lambda done, of: None)
    assert done.errors[0].startswith(f"{one.sgc}: step 2 (wait)")
    assert list(folder.iterdir()) == []


@needs_browser
def test_a_site_that_is_down_is_an_error(extract: Extract, settings: Any) -> None:
    settings.PQR_SITES["aire"]["url"] = "http://127.0.0.1:9/"
    (error,) = extract().errors
    assert "the site cannot be reached" in error


def test_a_company_without_an_address_has_no_extractor(settings: Any) -> None:
    settings.PQR_SITES = {"aire": {"url": "", "user": "", "password": ""}}
    with pytest.raises(NoExtractor, match="Air-e has no site to extract from: set PQR_AIRE_URL"):
        OficinaVirtual.of(AIRE)


@pytest.mark.parametrize(
    "url", ["http://other.example/oficina/", "https://a.example/", "http://[", "", "file:///etc/"]
)
def test_an_address_outside_of_the_site_is_not_opened(tmp_path: Path, url: str) -> None:
    visitor = visiting.Visitor(Site("http://a.example/oficina/", "", ""), tmp_path)
    assert visitor.checked("http://a.example/reclamos/7") == "http://a.example/reclamos/7"
    with pytest.raises(visiting.SiteFailed, match="leads elsewhere"):
        visitor.checked(url)


def test_a_number_that_leads_out_of_the_folder_is_an_error(tmp_path: Path) -> None:
    visitor = visiting.Visitor(Site("http://a.example/", "", ""), tmp_path)
    done = Extraction()
    work = oficina_virtual._Work(
        AIRE, visitor, Incoming(tmp_path, tmp_path), done, lambda done, of: None
    )
    assert not work._is_taken(oficina_virtual.Listed(1, "../7", "http://a.example/7"))
    assert done.errors == ["../7: the number cannot name a file"]


# --- The folder -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("documento.pdf", "77_documento.pdf"),
        ("77_documento.pdf", "77_documento.pdf"),
        ("anexo.json", "77_anexo.json_"),
        ("77_data_20250101_000000.JSON", "77_data_20250101_000000.JSON_"),
        ("ñ" * 300 + ".pdf", "77_" + "ñ" * 98 + ".pdf"),
    ],
)
def test_a_document_is_never_taken_for_data(name: str, expected: str) -> None:
    assert document_name(name, "77") == expected


@pytest.mark.parametrize("sgc", ["../1", "", ".", "a/b", "a_b", "1" * 41, "7 7", "7\n"])
def test_a_number_that_could_not_name_a_file_is_none(sgc: str) -> None:
    assert not SGC.fullmatch(sgc)


@pytest.mark.parametrize("content", ["", "[", "[]", '{"nic": "2"}', '{"nic": "1", "more": ""}'])
def test_a_last_record_that_differs_is_followed_by_a_new_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "7_data_20250101_000000.json").write_text(content)
    incoming = Incoming(tmp_path, tmp_path)
    at = datetime(2025, 10, 9, 8, 7, 6)
    assert incoming.take_record({"nic": "1", "page_url": "a"}, "7", at)
    assert not incoming.take_record({"nic": "1", "page_url": "b"}, "7", at + timedelta(days=1))
    assert (tmp_path / "7_data_20251009_080706.json").exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pipe_under_a_records_name_is_no_record(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "7_data_20250101_000000.json")
    assert Incoming(tmp_path, tmp_path).take_record({"nic": "1"}, "7", datetime(2025, 10, 9))


# --- The site ---------------------------------------------------------------------------------


def logged_in(office: str, company: str) -> Visitor:
    return Visitor().open(f"{office}/oficina/{company}/").submit(usuario=USER, clave=PASSWORD)


def test_the_offices_have_their_complaints(office: str) -> None:
    assert {name: len(complaints.complaints(name)) for name in complaints.COUNTS} == {
        "afinia": 24,
        "aire": 8,
    }
    visitor = logged_in(office, "afinia")
    assert visitor.text("pagina") == "Página 1 de 3"
    visitor.open(f"{office}/oficina/afinia/reclamos/", estado="Cerrada")
    shown = visitor.page.text.count('class="reclamo"')
    assert shown == len(complaints.complaints("afinia", "Cerrada")) > 0
    visitor.open(f"{office}/oficina/afinia/reclamos/", numero="no hay")
    assert visitor.text("sin-resultados")


def test_a_session_of_one_office_opens_no_other(office: str) -> None:
    visitor = logged_in(office, "afinia")
    assert visitor.text("menu-reclamos") == "Mis reclamos"
    for path in ("aire/reclamos/", "aire/reclamos/7520040/documento"):
        assert 'id="login-form"' in visitor.open(f"{office}/oficina/{path}").page.text
    assert 'id="login-form"' in requests.get(f"{office}/oficina/afinia/reclamos/", timeout=5).text


def test_the_flow_knows_every_label_of_the_site() -> None:
    assert {label: name for name, label in oficina.LABELS.items()} == LABELS
