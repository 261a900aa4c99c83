"""Documents: the text of their pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pypdf import PageObject, PdfReader
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
    with _reading():
        texts = [page.extract_text().strip() for page in _pages(path)]
    if not any(texts):
        raise Unparsable("the PDF holds no text, pictures perhaps: use the parser ocr")
    yield from texts


def ocr(path: Path) -> Iterator[Row]:
    """A row a page of what is a picture, or a PDF of pictures: its number and its text. Where
    Tesseract is installed."""
    import pytesseract

    try:
        known = pytesseract.get_languages()
        language = "+".join(one for one in LANGUAGES if one in known) or None
        for number, pictures in enumerate(_pictures(path), 1):
            texts = [pytesseract.image_to_string(one, lang=language).strip() for one in pictures]
            yield {"page": str(number), "text": "\n".join(filter(None, texts))}
    except pytesseract.TesseractNotFoundError as error:
        raise Unparsable(
            "Tesseract is not installed here: apt-get install tesseract-ocr"
        ) from error
    except pytesseract.TesseractError as error:
        raise Unparsable(f"Tesseract cannot read it: {error.message}") from error


def _pictures(path: Path) -> Iterator[list[Any]]:
    """The pictures of each page: those of a PDF, else of a file that is one itself."""
    from PIL import Image, ImageSequence, UnidentifiedImageError

    with path.open("rb") as file:
        is_pdf = file.read(1024).lstrip().startswith(b"%PDF")
    if is_pdf:
        for page in _pages(path):
            with _reading():
                found = [one.image for one in page.images if one.image]
            yield found
        return
    try:
        with Image.open(path) as picture:
            if getattr(picture, "n_frames", 1) > MOST_PAGES:
                raise Unparsable(f"the picture has more than {MOST_PAGES} pages")
            for frame in ImageSequence.Iterator(picture):
                yield [frame]
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise Unparsable(f"not a picture that can be read: {error}") from error


def _pages(path: Path) -> Sequence[PageObject]:
    with _reading():
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unparsable("the PDF wants a password")
        if len(reader.pages) > MOST_PAGES:
            raise Unparsable(f"the PDF has more than {MOST_PAGES} pages")
        return reader.pages


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unparsable(f"not a PDF that can be read: {error}") from error
