"""Invoices as providers print them, the example of a parser of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from queues.browser.parsers.documents import pages_of
from queues.browser.parsers.rows import Row, Unparsable

HEAD = re.compile(r"Factura\s+(?P<number>[\w/-]+)\s+Fecha\s+(?P<date>\d{2}/\d{2}/\d{4})")
LINE = re.compile(
    r"^(?P<concept>.+?)\s{2,}(?P<amount>-?[\d.]*\d,\d{2})\s*(?:€|EUR)?$", re.MULTILINE
)
TOTAL = re.compile(r"^Total\s+(?P<amount>-?[\d.]*\d,\d{2})", re.MULTILINE)


def invoice_pdf(path: Path) -> Iterator[Row]:
    """A row a line of the invoice: number, date (ISO 8601), concept, amount (`1234.50`). Whose
    lines do not add up to its total is refused: half an invoice is worse than none."""
    text = "\n".join(pages_of(path))
    head, total = HEAD.search(" ".join(text.split())), TOTAL.search(text)
    if not head or not total:
        raise Unparsable("this is not an invoice: number, date or total is missing")
    number, date = head["number"], _date(head["date"])
    lines = [line for line in LINE.finditer(text) if not line["concept"].startswith("Total")]
    cents = sum(_cents(line["amount"]) for line in lines)
    if cents != _cents(total["amount"]):
        raise Unparsable(f"the lines of invoice {number} do not add up to its total")
    for line in lines:
        amount = _cents(line["amount"])
        yield {
            "number": number,
            "date": date,
            "concept": line["concept"].strip(),
            "amount": f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}",
        }


def _date(text: str) -> str:
    try:
        return datetime.strptime(text, "%d/%m/%Y").date().isoformat()
    except ValueError as error:
        raise Unparsable(f"{text} is no date") from error


def _cents(text: str) -> int:
    return int(text.replace(".", "").replace(",", ""))
