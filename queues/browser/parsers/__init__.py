"""Named parsers: from a downloaded file to rows of text.

A parser is a generator function from a path to rows; it raises Unparsable with what is wrong.
Files come from strangers: `parsing.rows_of` runs a parser in a process of its own, bounded in
time and memory. Adding one is a function and a line here.
"""

from __future__ import annotations

from collections.abc import Mapping

# Where each is: imported by that process alone.
PARSERS: Mapping[str, str] = {
    "csv": "tables.csv_rows",
    "xlsx": "tables.xlsx_rows",
    "pdf_text": "documents.pdf_text",
    "ocr": "documents.ocr",
    "invoice_pdf": "invoices.invoice_pdf",
}
