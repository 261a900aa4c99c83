"""A one-page PDF, written by hand: enough for a viewer, a test and a hash."""

from __future__ import annotations

from collections.abc import Sequence

# Helvetica with the Windows encoding: all of Spanish and Catalan.
_OBJECTS = (
    b"<< /Type /Catalog /Pages 2 0 R >>",
    b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
    b" /Resources << /Font << /F1 4 0 R >> >> >>",
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
)


def pdf(lines: Sequence[str]) -> bytes:
    """A valid PDF with these lines of text; the same lines make the same bytes."""
    text = b"".join(b"(%s) Tj T*\n" % _escaped(line) for line in lines)
    stream = b"BT /F1 12 Tf 18 TL 60 780 Td\n" + text + b"ET"
    objects = (*_OBJECTS, b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    body, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    return body + _trailer(offsets, len(body))


def _trailer(offsets: Sequence[int], start: int) -> bytes:
    size = len(offsets) + 1
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return b"xref\n0 %d\n0000000000 65535 f \n%s" % (
        size,
        table,
    ) + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)


def _escaped(line: str) -> bytes:
    text = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return text.encode("cp1252", "replace")
