"""Keys of objects: where a company's file lies in the bucket. Pure but for the base path."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import date
from pathlib import PurePosixPath

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from postprocessing.companies import Company

KEY_BYTES = 1024  # that S3 takes
PART_BYTES = 255  # that file systems take, where objects are simulated
MARK = 12  # hexadecimal digits
NO_COMPLAINT = "_"
# Separators, and what listings in XML and people's eyes do not show as it is.
_FORBIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_MARKED = re.compile(r"~[0-9a-f]{12}(?:\.|$)")
_OF_A_FILE = re.compile(r"\{(?:numero_reclamo_sgc|file)\}")
_OF_A_DAY = re.compile(r"\{(?!base\}|empresa\})")


def key_of(company: Company, *, filename: str, sgc: str, day: date) -> str:
    """The key of a file of the complaint `sgc` ("": of none), below the base path whatever both
    are called. No two names get the same key: one that cannot stand there as it is, is marked with
    a hash of itself."""
    key = company.key_template.format(
        **_fields(company, day),
        numero_reclamo_sgc=_part(sgc) if sgc else NO_COMPLAINT,
        file=_part(filename),
    )
    if len(key.encode()) > KEY_BYTES:
        raise ImproperlyConfigured("S3_BASE_PATH is too long: no key may have over 1024 bytes")
    return key


def prefix_of(company: Company, day: date) -> str:
    """What the keys of all files of that day begin with."""
    return _beginning(company, _OF_A_FILE).format(**_fields(company, day))


def base_of(company: Company) -> str:
    """What the keys of all of the company's files begin with."""
    return _beginning(company, _OF_A_DAY).format(base=base_path(), empresa=company.name)


def base_path() -> str:
    return str(settings.S3_BASE_PATH).strip("/")


def sgc_of(filename: str) -> str:
    """The complaint that a file says it belongs to: `{sgc}_*`; "" where it names none."""
    sgc, underscore, _rest = filename.partition("_")
    return sgc[:100] if underscore else ""


def _beginning(company: Company, until: re.Pattern[str]) -> str:
    found = until.search(company.key_template)
    return company.key_template[: found.start() if found else None]


def _fields(company: Company, day: date) -> dict[str, str]:
    return {
        "base": base_path(),
        "empresa": company.name,
        "año": f"{day.year:04d}",
        "mes": f"{day.month:02d}",
        "día": f"{day.day:02d}",
    }


def _part(text: str) -> str:
    """One part of a key. A text that had to be changed, or looks as if it had been, gets a mark
    before its extension."""
    plain = _plain(text)
    is_fit = plain == text and len(plain.encode()) <= PART_BYTES and not _MARKED.search(plain)
    if is_fit and plain.strip(". "):
        return plain
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:MARK]
    suffix = PurePosixPath(plain).suffix
    ending = f"~{mark}" + (suffix if len(suffix.encode()) <= 16 else "")
    return _cut(plain.removesuffix(suffix), PART_BYTES - len(ending.encode())) + ending


def _plain(text: str) -> str:
    if text.isascii() and text.isprintable() and "/" not in text and "\\" not in text:
        return text
    kept = ("_" if _is_forbidden(one) else one for one in unicodedata.normalize("NFC", text))
    return unicodedata.normalize("NFC", "".join(kept))


def _is_forbidden(character: str) -> bool:
    return character in "/\\" or unicodedata.category(character) in _FORBIDDEN


def _cut(text: str, size: int) -> str:
    """Its first `size` bytes, less what would be half a character."""
    return text.encode()[:size].decode(errors="ignore")
