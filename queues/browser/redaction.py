"""Taking secrets out of what a run leaves behind, in every spelling that a page gives them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

MARK = "[REDACTED]"
LINES = (".trace", ".network", ".stacks")
BEGINNING = 24  # letters by which a long word is known
REST = r"""[^\s"'<>;,]*"""
NEVER = re.compile(r"(?!)")


class Redactor:
    """Knows the secrets of one run."""

    def __init__(self, secrets: Iterable[str], words: Iterable[str] = ()) -> None:
        """`words`: secrets of one word, which may be long and many, such as cookies: a long one is
        known by its first letters, and goes with all that follows up to the word's end."""
        kinds = {secret: _pattern for secret in secrets} | {word: _word_pattern for word in words}
        longest_first = sorted(filter(str.strip, kinds), key=len, reverse=True)
        self._pattern = "|".join(kinds[secret](secret) for secret in longest_first)
        self.is_needed = bool(self._pattern)
        self._text = re.compile(self._pattern) if self.is_needed else NEVER

    @cached_property
    def _bytes(self) -> re.Pattern[bytes]:
        return re.compile(self._pattern.encode()) if self.is_needed else re.compile(b"(?!)")

    def text(self, text: str) -> str:
        return self._text.sub(MARK, text)

    def archive(self, source: Path, target: Path) -> None:
        """Copy a zip without its secrets."""
        with ZipFile(source) as old, ZipFile(target, "w", ZIP_DEFLATED, compresslevel=1) as new:
            for name in old.namelist():
                new.writestr(name, self._entry(name, old.read(name)))

    def _entry(self, name: str, content: bytes) -> bytes:
        if not self._bytes.search(content):
            return content
        if not name.endswith(LINES):
            return self._bytes.sub(MARK.encode(), content)
        return b"\n".join(map(self._line, content.split(b"\n")))

    def _line(self, line: bytes) -> bytes:
        """A line of JSON stays one: a secret of digits may stand inside of a number."""
        if not self._bytes.search(line):
            return line
        try:
            clean = self._walk(json.loads(line))
        except ValueError:
            return self._bytes.sub(MARK.encode(), line)
        return json.dumps(clean, ensure_ascii=False, separators=(",", ":")).encode()

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._walk(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self._walk(item) for key, item in value.items()}
        return value


def _pattern(secret: str) -> str:
    return "".join(map(_spellings, secret))


def _word_pattern(word: str) -> str:
    return _pattern(word[:BEGINNING]) + (REST if len(word) > BEGINNING else "")


def _spellings(char: str) -> str:
    """A pattern for one character: as it is, URL-quoted, escaped for JSON (however often),
    or for HTML."""
    if char.isascii() and char.isalnum():
        return char
    escaped = json.dumps(char)[1:-1]
    spellings = [
        "".join(rf"(?i:%{byte:02x})" for byte in char.encode("utf-8", "surrogatepass")),
        *(re.escape(form) for form in {html.escape(char), f"&#{ord(char)};"} - {char}),
        rf"&#(?i:x0*{ord(char):x});",
        "".join(rf"\\+u(?i:{unit:04x})" for unit in _utf16(char)),
    ]
    if char == " ":
        spellings.append(r"\+")
    if escaped not in (char, f"\\{char}") and not escaped.startswith("\\u"):
        spellings.append(rf"\\+{escaped[-1]}")
    # Last: `%` begins its own `%25`, and `&` its own `&amp;`.
    spellings.append(rf"\\*{re.escape(char)}" if char != "\\" else r"\\+")
    return f"(?:{'|'.join(spellings)})"


def _utf16(char: str) -> list[int]:
    units = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
