"""The demo's portal of a grain trader, and its door for webhooks."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import requests

from orchestrator_site.demo.world import faults, granos
from queues.browser.parsers import invoices
from tests.world import world, world_files, world_url

__all__ = ["world", "world_files", "world_url"]


@pytest.fixture
def portal(world_url: str) -> str:
    return f"{world_url}/granos/"


@pytest.fixture
def supplier(portal: str) -> requests.Session:
    session = requests.Session()
    session.post(portal, data={"usuario": "ana", "clave": "secreta"}, timeout=5)
    return session


def test_without_a_session_one_lands_at_the_login(portal: str) -> None:
    for place in ("facturas/", "facturas.csv", "facturas/F-2026-0101.pdf"):
        assert "login-form" in requests.get(portal + place, timeout=5).text


def test_a_month_s_table(portal: str, supplier: requests.Session) -> None:
    answer = supplier.get(f"{portal}facturas.csv", params={"mes": "11/2026"}, timeout=5)
    answer.encoding = "utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text), delimiter=";"))
    assert rows == [{"Factura": "F-2026-0111", "Fecha": "03/11/2026", "Importe": "5.193,00"}]


@pytest.mark.parametrize("number", granos.INVOICES)
def test_each_invoice_is_one_that_the_parser_reads(
    portal: str, supplier: requests.Session, number: str, tmp_path: Path
) -> None:
    path = tmp_path / "invoice.pdf"
    path.write_bytes(supplier.get(f"{portal}facturas/{number}.pdf", timeout=5).content)
    found = list(invoices.invoice_pdf(path))
    day, lines = granos.INVOICES[number]
    assert {row["number"] for row in found} == {number}
    assert [row["concept"] for row in found] == [concept for concept, _cents in lines]
    assert found[0]["date"] == "-".join(reversed(day.split("/")))


def test_a_session_that_ends(portal: str, supplier: requests.Session) -> None:
    faults.set_fault("granos", "expire_sessions", times=1)
    assert "login-form" in supplier.get(f"{portal}facturas/", timeout=5).text
    assert "login-form" in supplier.get(f"{portal}facturas/", timeout=5).text


def test_what_is_told_is_kept_whatever_is_answered(portal: str) -> None:
    faults.set_fault("granos", "webhook_answer", "acme", times=1, value="500")
    answers = [
        requests.post(
            f"{portal}avisos/acme", data=text, headers={"webhook-id": "1"}, timeout=5
        ).status_code
        for text in ("one", "two")
    ]
    assert answers == [500, 200]
    assert [(body, headers["webhook-id"]) for headers, body in granos.heard("acme")] == [
        ("one", "1"),
        ("two", "1"),
    ]
    assert granos.heard("other") == []
