"""Parsing a downloaded file in a process of its own, bounded in time and memory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from queues.browser.parsers.rows import Row, Unparsable

LARGEST = 32 * 2**20  # bytes of a file
KEPT = ("PATH", "LANG", "SYSTEMROOT", "TESSDATA_PREFIX")
ONE_CORE = {"OMP_THREAD_LIMIT": "1"}  # Tesseract is faster so, beside other runs
ROOT = Path(__file__).resolve().parents[2]


async def rows_of(parser: str, path: Path, seconds: float) -> list[Row]:
    """The rows that the named parser finds. Raises Unparsable; TimeoutError after `seconds`."""
    if path.stat().st_size > LARGEST:
        raise Unparsable(f"the file has more than {LARGEST // 2**20} MiB")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "queues.browser.parsers",
        parser,
        str(path.resolve()),
        cwd=ROOT,
        # No secret of ours: the file may hold code for a fault of a parser.
        env={**ONE_CORE, **{name: os.environ[name] for name in KEPT if name in os.environ}},
        start_new_session=True,  # a group of its own: what it starts ends with it
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        answer, _ = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        with suppress(ProcessLookupError):
            _kill(process)
        await process.wait()
    try:
        said = json.loads(answer)
    except ValueError as error:
        raise Unparsable("the parser broke on this file") from error
    if "error" in said:
        raise Unparsable(said["error"])
    rows: list[Row] = said["rows"]
    return rows


def _kill(process: asyncio.subprocess.Process) -> None:
    """With whatever it has started, Tesseract for one. Raises ProcessLookupError."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
