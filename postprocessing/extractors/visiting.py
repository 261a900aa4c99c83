"""Pages of a company's site, one flow each, in a browser that is logged in."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from postprocessing.extractors.flows import OFICINA_VIRTUAL, Flows, Script
from queues.browser.runs import Outcome, Run
from queues.browser.thread import BrowserThread

TRIES = 2  # reading does no harm: what fails for the site's sake is tried again at once
WORTH_ANOTHER_TRY = ("site", "timeout", "infrastructure")


class SiteFailed(Exception):
    """The site did not give what was asked for; the message says why."""


@dataclass(frozen=True)
class Site:
    """Where it is and who asks."""

    url: str
    user: str
    password: str = field(repr=False)
    flows: Flows = OFICINA_VIRTUAL


class Visitor:
    """A logged-in browser: its session is kept from run to run, and renewed when it is over."""

    def __init__(self, site: Site, staging: Path) -> None:
        self.site, self.staging = site, staging
        self.browser = BrowserThread(settings.BROWSER_EXECUTABLE, settings.BROWSER_HEADLESS)
        self.session: dict[str, Any] | None = None

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *error: object) -> None:
        self.browser.close()

    def log_in(self) -> str:
        """Where the list begins. Raises SiteFailed."""
        outcome = self._tried(self._log_in_once)
        if not outcome.ok:
            raise SiteFailed(outcome.message)
        links = collected(outcome, "listing")
        if not links:
            raise SiteFailed(_("the site has no list of complaints"))
        return self.checked(links[0]["url"])

    def visit(self, script: Script, url: str) -> Outcome:
        """The outcome of a flow on a page, whatever it is."""
        outcome = self._tried(lambda: self._run(script, {"url": url}))
        if outcome.error_class == "session":
            self.log_in()
            outcome = self._tried(lambda: self._run(script, {"url": url}))
        return outcome

    def checked(self, url: str) -> str:
        """An address of the site's own. Raises SiteFailed."""
        with suppress(ValueError):
            if urlsplit(url)[:2] == urlsplit(self.site.url)[:2]:
                return url
        raise SiteFailed(_("the site leads elsewhere: %(url)s") % {"url": url[:200]})

    def forget(self, outcome: Outcome) -> None:
        """Make room: nobody asks for the evidence of a page that was only read."""
        shutil.rmtree(outcome.artifacts[0].path.parent, ignore_errors=True)

    def _log_in_once(self) -> Outcome:
        payload = {"url": self.site.url, "user": self.site.user}
        self.session = None
        secrets = {"password": self.site.password}
        outcome = self._run(self.site.flows.login, payload, secrets)
        self.session = outcome.storage_state
        return outcome

    def _tried(self, attempt: Callable[[], Outcome]) -> Outcome:
        for _turn in range(TRIES):
            outcome = attempt()
            if outcome.ok or outcome.error_class not in WORTH_ANOTHER_TRY:
                break
        return outcome

    def _run(
        self, script: Script, payload: Mapping[str, str], secrets: Mapping[str, str] | None = None
    ) -> Outcome:
        run = Run(
            script=script.text,
            script_hash=script.sha256,
            inputs={"payload": payload},
            secrets=secrets or {},
            folder=Path(tempfile.mkdtemp(dir=self.staging)),
            page_timeout=settings.PAGE_TIMEOUT.total_seconds(),
            storage_state=self.session,
            trace=False,
            pictures=False,
            keep_session=bool(secrets),
        )
        return self.browser.execute(run, deadline=settings.TASK_DEADLINE.total_seconds())


def collected(outcome: Outcome, name: str) -> list[dict[str, str]]:
    """What a `collect` of the flow found, also where a later step failed."""
    return json.loads(outcome.values.get(name, "[]"))
