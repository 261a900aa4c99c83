"""From a file's bytes to complaints, and to the reasons why some are none. Pure.

**Values**: text in Unicode's form NFC; null is ""; numbers and booleans are their JSON text, lists
and objects compact JSON. `numero_radicado` is without spaces around it, null where nothing is left.

**`hash_registro`**: SHA-256 of `numero_radicado|fecha|tipo_pqr|nic|documento_identidad`, `fecha` as
local `YYYY-MM-DDTHH:MM:SS`, "" where it is null.

**`content_hash`**: SHA-256 over all that the company says, other keys too. How it was extracted
(`record_number`, `extraction_timestamp`, `page_url`, `page_title`) is none of it: a complaint that
is extracted again is still the same. It is over the values, one after the other with U+001F
between them: that takes a tenth of the time that JSON takes.

**Extracted at**: `extraction_timestamp`, else the time in the file's name, else the file's own.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

from postprocessing import sentences
from postprocessing.companies import Company
from postprocessing.fields import FIELDS, RADICADO_LENGTH

# Columns of their own kind; all others are texts. Those that tell of the extraction come first.
_OWN_KIND = ("numero_radicado", "fecha", "extraction_timestamp")
OF_EXTRACTION = ("record_number", "page_url", "page_title")
TEXTS = (
    *OF_EXTRACTION,
    *(name for name in FIELDS if name not in _OWN_KIND and name not in OF_EXTRACTION),
)
KEYS = (*_OWN_KIND, *TEXTS)
WRAPPERS = ("data", "records", "pqrs")
PARTS_LIMIT = 200_000  # commas and opening brackets, of which memory is made
RECORDS_LIMIT = 10_000
DEEPEST = 50  # a list in a list in a list ...
TOLD = 100  # characters of a value that a message shows
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEPARATOR = "\x1f"

_MISSING = dict.fromkeys(KEYS, "")
_KNOWN = frozenset(KEYS)
_values = itemgetter(*KEYS)
_PLACE = {name: place for place, name in enumerate(TEXTS)}
_TIPO, _NIC, _DOCUMENTO, _SGC = (
    _PLACE[name] for name in ("tipo_pqr", "nic", "documento_identidad", "numero_reclamo_sgc")
)
_NOTHING = SEPARATOR * (len(KEYS) - 1)
_NO_EXTRA: Mapping[str, Any] = {}
_BOM = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_FECHA = re.compile(r"\d{4}([-/])\d\d\1\d\d \d\d:\d\d(:\d\d)?", re.ASCII)
_TIME_IN_NAME = re.compile(r"_(\d{8})_(\d{6})(?=\D|$)", re.ASCII)


class Fault(NamedTuple):
    """`record`: its place in the file, from 1; 0: the file."""

    record: int
    reason: str


class Record(NamedTuple):
    """A complaint as a file has it. `values`: those of `TEXTS`; moments are in UTC."""

    place: int
    file_name: str
    numero_radicado: str | None
    fecha: datetime | None
    extracted_at: datetime
    values: tuple[str, ...]
    extra: Mapping[str, Any]
    hash_registro: str
    content_hash: str

    @property
    def identity(self) -> str:
        """What the complaint is known by. No `numero_radicado` begins with a space."""
        return self.numero_radicado or f" {self.hash_registro}"

    @property
    def age(self) -> tuple[datetime, str]:
        """The greater one was extracted later."""
        return self.extracted_at, self.file_name

    def text(self, name: str) -> str:
        return self.values[_PLACE[name]]


class Parsed(NamedTuple):
    """What a file holds. A warning is of a record that is taken nevertheless."""

    records: list[Record]
    faults: list[Fault]
    warnings: list[Fault]


class Refused(Exception):
    """A file or a record that is not taken; the text says why."""


def parse(content: bytes, name: str, company: Company, mtime_ns: int = 0) -> Parsed:
    """The complaints of the file `name`, which was last changed at `mtime_ns`. Raises nothing."""
    try:
        found = _elements(_json(_text_of(content)))
    except Refused as error:
        return Parsed([], [Fault(0, str(error))], [])
    parser = _Parser(name, company, mtime_ns)
    for place, one in enumerate(found, start=1):
        parser.take(place, one)
    return parser.parsed


def stamp_in(name: str) -> str:
    """When a file was made, by its name (`..._YYYYmmdd_HHMMSS...`), as `YYYYmmddTHHMMSS`; "" for
    no time."""
    found = _TIME_IN_NAME.search(name)
    return f"{found[1]}T{found[2]}" if found else ""


def time_in(name: str) -> datetime | None:
    """The same as a moment: local, without a zone."""
    try:
        return datetime.fromisoformat(stamp_in(name))
    except ValueError:
        return None


def moment_of(mtime_ns: int) -> datetime:
    """A file's time, to the microsecond that databases keep."""
    try:
        return EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError:
        return EPOCH


# --- Files --------------------------------------------------------------------------------------


def _text_of(content: bytes) -> str:
    if content.startswith(_BOM):
        content = content[len(_BOM) :]
    if not content or content.isspace():
        raise Refused(sentences.EMPTY)
    if content.startswith(_UTF_16_MARKS) or 0 in content[:4]:
        raise Refused(sentences.UTF_16)
    # No file has more parts than bytes.
    if len(content) > PARTS_LIMIT and sum(map(content.count, b",[{")) > PARTS_LIMIT:
        raise Refused(sentences.TOO_MANY_PARTS % {"limit": PARTS_LIMIT})
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        values = {"byte": f"0x{content[error.start]:02x}", "place": error.start}
        raise Refused(sentences.NOT_UTF_8 % values) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = set()
        twice = next(key for key, _value in pairs if key in keys or keys.add(key))  # type: ignore[func-returns-value]
        raise Refused(sentences.KEY_TWICE % {"key": _shown(twice)})
    return found


def _refuse(constant: str) -> NoReturn:
    raise Refused(sentences.NO_JSON_CONSTANT % {"constant": constant})


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse)  # NaN, Infinity
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


def _json(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        values = {"why": error.msg, "line": error.lineno, "column": error.colno}
        raise Refused(sentences.NOT_JSON % values) from error
    except RecursionError as error:
        raise Refused(sentences.TOO_DEEP) from error
    except ValueError as error:  # Python reads no number of over 4300 digits
        raise Refused(sentences.NUMBER_TOO_LONG) from error


def _elements(found: Any) -> list[Any]:
    """An object, a list, or an object with one of the two under `data`, `records` or `pqrs`."""
    if isinstance(found, dict):
        found = _unwrapped(found)
    if not isinstance(found, list):
        raise Refused(sentences.NO_OBJECT)
    if len(found) > RECORDS_LIMIT:
        raise Refused(sentences.TOO_MANY_RECORDS % {"limit": RECORDS_LIMIT})
    return found


def _unwrapped(found: dict[str, Any]) -> list[Any]:
    if found.keys().isdisjoint(WRAPPERS):
        return [found]
    inner = [found[name] for name in WRAPPERS if name in found]
    if lists := [one for one in inner if isinstance(one, list)]:
        return list(chain.from_iterable(lists))
    # A complaint may have an object among its other keys.
    objects = [one for one in inner if isinstance(one, dict)]
    return objects if objects and not _KNOWN & found.keys() else [found]


# --- Records ------------------------------------------------------------------------------------


class _Parser:
    """Of one file."""

    def __init__(self, name: str, company: Company, mtime_ns: int) -> None:
        self.name, self.zone, self.mtime_ns = name, company.zone, mtime_ns
        self.parsed = Parsed([], [], [])

    def take(self, place: int, found: Any) -> None:
        try:
            if not isinstance(found, dict):
                raise Refused(sentences.NO_OBJECT)
            self.parsed.records.append(self._record(place, found))
        except Refused as error:
            self.parsed.faults.append(Fault(place, str(error)))

    def _record(self, place: int, found: dict[str, Any]) -> Record:
        whole = _MISSING | found
        values = _values(whole)
        try:
            joined = SEPARATOR.join(values)
        except TypeError:
            values = tuple(map(_text, KEYS, values))
            joined = SEPARATOR.join(values)
        if joined == _NOTHING:
            raise Refused(sentences.NOTHING_OF_COMPLAINT)
        if not _is_clean(joined):
            values = tuple(map(_clean, KEYS, values))
        extra = _NO_EXTRA
        if len(whole) > len(KEYS):
            rest = {key: value for key, value in found.items() if key not in _KNOWN}
            extra = _storable_object("", rest)
        return self._made(place, values, extra)

    def _made(self, place: int, whole: tuple[str, ...], extra: Mapping[str, Any]) -> Record:
        written, said, extracted, *texts = whole
        radicado = written.strip()
        if len(radicado) > RADICADO_LENGTH or len(texts[_SGC]) > RADICADO_LENGTH:
            field = "numero_radicado" if len(radicado) > RADICADO_LENGTH else "numero_reclamo_sgc"
            values = {"field": field, "limit": RADICADO_LENGTH}
            raise Refused(sentences.FIELD_TOO_LONG % values)
        fecha, local = self._fecha(place, said)
        known_by = (radicado, local, texts[_TIPO], texts[_NIC], texts[_DOCUMENTO])
        says = [radicado, local, *texts[len(OF_EXTRACTION) :]]
        if extra:
            says.append(_ENCODER.encode(extra))
        return Record(
            place,
            self.name,
            radicado or None,
            fecha,
            self._extracted_at(place, extracted),
            tuple(texts),
            extra,
            sha256("|".join(known_by).encode()).hexdigest(),
            sha256(_in_a_row(says).encode()).hexdigest(),
        )

    def _fecha(self, place: int, text: str) -> tuple[datetime | None, str]:
        """The moment, and the company's local time as the hash has it; None and "" for none."""
        if not text:
            return None, ""
        said = text.strip()
        if found := _FECHA.fullmatch(said):
            local = f"{said[:4]}-{said[5:7]}-{said[8:10]}T{said[11:]}"
            local += "" if found[2] else ":00"
            if moment := self._moment(local):
                return moment, local
        self._warn(place, "fecha", text)
        return None, ""

    def _extracted_at(self, place: int, text: str) -> datetime:
        if text:
            if moment := self._moment(text.strip().replace("/", "-")):
                return moment
            self._warn(place, "extraction_timestamp", text)
        return self._by_file

    def _moment(self, text: str) -> datetime | None:
        """ISO 8601; without a zone it is the company's."""
        try:
            found = datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=self.zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    @cached_property
    def _by_file(self) -> datetime:
        named = time_in(self.name)
        moment = self._moment(named.isoformat()) if named else None
        return moment or moment_of(self.mtime_ns)

    def _warn(self, place: int, field: str, text: str) -> None:
        values = {"field": field, "text": _shown(text)}
        self.parsed.warnings.append(Fault(place, sentences.NO_DATE % values))


# --- Values -------------------------------------------------------------------------------------


def _is_clean(joined: str) -> bool:
    """Whether all texts that were joined can be stored as they are."""
    if "\0" in joined:
        return False
    try:
        joined.encode("latin-1")  # all of Latin-1 is in NFC, and that takes no time to find out
    except UnicodeEncodeError:
        return unicodedata.is_normalized("NFC", joined) and not _NOT_STORABLE.search(joined)
    return True


def _clean(field: str, text: str) -> str:
    if _NOT_STORABLE.search(text):
        raise Refused(sentences.NOT_STORABLE % {"field": _shown(field or text)})
    return unicodedata.normalize("NFC", text)


def _text(field: str, value: Any) -> str:
    """What becomes of a value that should have been a text."""
    if isinstance(value, str):
        return value
    return "" if value is None else _ENCODER.encode(_storable(field, value))


def _storable(field: str, value: Any, depth: int = 0) -> Any:
    """The same JSON with its texts in NFC."""
    if depth > DEEPEST:
        raise Refused(sentences.FIELD_TOO_DEEP % {"field": _shown(field)})
    if isinstance(value, str):
        return _clean(field, value)
    if isinstance(value, list):
        return [_storable(field, one, depth + 1) for one in value]
    if isinstance(value, dict):
        return _storable_object(field, value, depth)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(sentences.NOT_FINITE % {"field": _shown(field)})
    return value


def _storable_object(field: str, value: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The field is that of its keys, where it has no name: it is the record itself."""
    found: dict[str, Any] = {}
    for key, one in value.items():
        clean = _clean(field, key)
        if clean in found:  # it was there in both normal forms
            raise Refused(sentences.KEY_TWICE % {"key": _shown(clean)})
        found[clean] = _storable(field or clean, one, depth + 1)
    return found


def _in_a_row(texts: Sequence[str]) -> str:
    """The texts as one; no other texts, and no other number of them, make the same."""
    row = SEPARATOR.join(texts)
    if row.count(SEPARATOR) == len(texts) - 1:
        return row
    plain = (one.replace("\x1e", "\x1e\x1e").replace(SEPARATOR, "\x1eu") for one in texts)
    return SEPARATOR + SEPARATOR.join(plain)


def _shown(text: str) -> str:
    """The beginning of a text, as it can be stored anywhere."""
    return _NOT_STORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text[:TOLD])
