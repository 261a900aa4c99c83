"""Clients of the API, all at once: `python -m tests.bench.support.asking`, its plan on stdin.

A process of its own, so that what the clients do is not the server's time.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.machine import ROOT

Seconds = list[float]


def asked(port: int, keys: Sequence[str], paths: Sequence[str], times: int) -> dict[str, Seconds]:
    """By path the seconds of each answer. Every key is a client with a connection of its own, that
    asks for each path so many times."""
    plan = {"port": port, "keys": list(keys), "paths": list(paths), "times": times}
    answer = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(plan),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Seconds] = json.loads(answer.stdout)
    return found


class Client(threading.Thread):
    def __init__(self, plan: Mapping[str, Any], key: str, gate: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.plan, self.gate = plan, gate
        self.headers = {"Authorization": f"Bearer {key}"}
        self.seconds: dict[str, Seconds] = {path: [] for path in plan["paths"]}
        self.problem = ""

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.plan["port"], timeout=120)
        try:
            for path in self.plan["paths"]:
                self._ask(connection, path)
                self.gate.wait()
                for _time in range(self.plan["times"]):
                    self.seconds[path].append(self._ask(connection, path))
                self.gate.wait()
        except Exception as error:
            self.problem = repr(error)
            self.gate.abort()

    def _ask(self, connection: http.client.HTTPConnection, path: str) -> float:
        began = time.perf_counter()
        connection.request("GET", path, headers=self.headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise ValueError(f"{path}: {answer.status}")
        return time.perf_counter() - began


def main() -> None:
    plan = json.load(sys.stdin)
    gate = threading.Barrier(len(plan["keys"]))
    clients = [Client(plan, key, gate) for key in plan["keys"]]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if problems := [client.problem for client in clients if client.problem]:
        raise SystemExit(problems[0])
    found: dict[str, Seconds] = {path: [] for path in plan["paths"]}
    for client in clients:
        for path, seconds in client.seconds.items():
            found[path] += seconds
    print(json.dumps(found))


if __name__ == "__main__":
    main()
