"""A scraper that accepts each task after a while: `python -m ... PORT SECONDS`."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.machine import ROOT
from tests.postgres import free_port

BACKLOG = 1000
BODY = b'{"status": "success", "message": "Task accepted for processing"}'
ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@contextmanager
def running(seconds: float) -> Iterator[str]:
    """Its address."""
    port = free_port()
    command = [sys.executable, "-m", __name__, str(port), str(seconds)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/scrape"
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


async def serve(port: int, seconds: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"}")
            await asyncio.sleep(seconds)
            writer.write(ANSWER)
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass  # somebody only looked whether we are here
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
