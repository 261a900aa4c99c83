"""The bare script: what somebody writes who just wants an appeal filed on the demo's xaloc site.

`python -m tests.bench.support.bare FOLDER`: one browser, a fresh context an appeal, no evidence.
Each line on stdin is an appeal as JSON; the answer is a line with the seconds that it took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from queues.browser import launch


def file_appeal(browser: Browser, appeal: dict[str, Any], folder: Path) -> None:
    payload = appeal["payload"]
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.goto(appeal["url"])
    page.fill("#expediente", payload["expediente"])
    page.fill("#numclient", str(payload["numclient"]))
    page.fill("#nombre", payload["sujeto_recurso"])
    page.click("#continuar")
    page.wait_for_selector("#asunto")
    for name in ("asunto", "expone", "solicita"):
        page.fill(f"#{name}", payload["motivos"][name])
    page.click("#continuar")
    page.wait_for_selector("#documentos")
    page.set_input_files("#documentos", appeal["files"])
    page.click("#continuar")
    page.wait_for_selector("#resumen")
    page.click("#enviar")
    page.wait_for_selector("#confirmacion")
    number = page.text_content("#numero-registro")
    with page.expect_download() as expected:
        page.click("#descargar-justificante")
    expected.value.save_as(folder / f"{number}.pdf".replace("/", "_"))
    context.close()


def main(folder: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=launch.find_browser() or None, args=launch.arguments()
        )
        for line in sys.stdin:
            began = time.perf_counter()
            file_appeal(browser, json.loads(line), folder)
            print(time.perf_counter() - began, flush=True)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
