"""Documents: the text of their pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from queues.browser.parsers.rows import Row, Unparsable

MOST_PAGES = 500
LANGUAGES = ("spa", "eng")  # of those that are installed


def pdf_text(path: Path) -> Iterator[Row]:
    """A row a page: its number and its text."""
    for number, text in enumerate(pages_of(path), 1):
        yield {"page": str(number), "text": text}


def pages_of(path: Path) -> Iterator[str]:
    """The text of each page of a PDF that has text, in the order of reading."""
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unparsable("the PDF wants a password")
        pages = reader.pages
        if len(pages) > MOST_PAGES:
            raise Unparsable(f"the PDF has more than {MOST_PAGES} pages")
        texts = [page.extract_text().strip() for page in pages]
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unparsable(f"not a PDF that can be read: {error}") from error
    if not any(texts):
        raise Unparsable("the PDF holds no text, pictures perhaps: use the parser ocr")
    yield from texts


def ocr(path: Path) -> Iterator[Row]:
    """The text of a picture, where Tesseract is installed."""
    import pytesseract
    from PIL import Image, UnidentifiedImageError

    try:
        known = pytesseract.get_languages()
        language = "+".join(one for one in LANGUAGES if one in known)
        with Image.open(path) as picture:
            text = pytesseract.image_to_string(picture, lang=language or None)
    except pytesseract.TesseractNotFoundError as error:
        raise Unparsable(
            "Tesseract is not installed here: apt-get install tesseract-ocr"
        ) from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise Unparsable(f"not a picture that can be read: {error}") from error
    yield {"text": text.strip()}
