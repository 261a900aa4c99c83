"""How figures are told: a table for people, lines of JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.support.figure import told

WIDTH = 110
Told = dict[str, Any]  # a figure's as_dict()


def machine() -> Told:
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def as_lines(figures: list[Told], quick: bool) -> None:
    print(json.dumps({"machine": machine(), "quick": quick}))
    for figure in figures:
        print(json.dumps(figure))


def as_table(figures: list[Told], quick: bool) -> None:
    here = machine()
    console = Console()
    console.width = max(console.width, WIDTH)  # a pipe's 80 columns cut the names
    about = f"{here['cpu']}, {here['cores']} cores, Python {here['python']}, {here['system']}"
    table = Table(title=about, caption=_caption(quick), expand=False)
    for heading in ("figure", "value", "unit", "baseline", "ratio", "target", "ok"):
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    for figure in figures:
        table.add_row(*_cells(figure))
    console.print(table)
    for figure in figures:
        note = f"; {figure['note']}" if figure["note"] else ""
        console.print(
            f"{figure['name']}: {told(figure['runs'])}{note}", highlight=False, markup=False
        )


_NUMBERS = ("value", "baseline", "ratio")


def _cells(figure: Told) -> list[str]:
    ok = {True: "[green]yes", False: "[bold red]MISSED", None: "-"}[figure["ok"]]
    numbers = {name: "-" if figure[name] is None else f"{figure[name]:,.4g}" for name in _NUMBERS}
    return [
        figure["name"],
        numbers["value"],
        figure["unit"],
        numbers["baseline"],
        numbers["ratio"],
        figure["target"] or "-",
        ok,
    ]


def _caption(quick: bool) -> str:
    return "QUICK: smaller sizes, fewer runs" if quick else "medians of at least five runs"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
