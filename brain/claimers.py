"""The three ways to claim: one statement, the intranet over HTTP, the intranet by clicking."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.utils.translation import gettext as _

from brain import origin, portal
from brain.models import Claim, Flow, Organismo
from queues import evidence
from queues.browser.runs import Outcome, Run
from queues.browser.signing import EnvelopeRefused
from queues.browser.thread import BrowserThread
from queues.models import TramiteTask

logger = logging.getLogger(__name__)


class ClaimerUnavailable(Exception):
    """No claim can be tried now: wrong credentials, no flow, the intranet does not answer."""


@dataclass(frozen=True)
class Answer:
    """What a claim was answered. `changed` is None where the answer proves nothing."""

    text: str
    changed: bool | None = None
    screenshot: str = ""


class Claimer(Protocol):
    """One method on one organismo, for the length of a cycle."""

    batch: int  # claims a call
    account: str  # our name in the origin; known once it is open

    def open(self) -> None:
        """Log in where there is something to log in to. Raises ClaimerUnavailable."""

    def claim(self, claims: list[Claim]) -> dict[int, Answer]:
        """Try these; answers by resource id. Raises ClaimerUnavailable to end the cycle's part."""

    def close(self) -> None: ...


class SqlClaimer:
    batch = 50

    def __init__(self, organismo: Organismo) -> None:
        self.organismo = organismo
        self.account = organismo.configured_account

    def open(self) -> None:
        return

    def claim(self, claims: list[Claim]) -> dict[int, Answer]:
        ids = [claim.resource_id for claim in claims]
        rule, texp = self.organismo.claimed_rule, self.organismo.texp_values
        try:
            won = origin.claim(ids, self.account, rule, texp)
        except origin.OriginError as error:
            # It may have been carried out before the answer was lost: the read-back decides.
            return {pk: Answer(f"{type(error).__name__}: {error}"[:200]) for pk in ids}
        return {pk: Answer(f"rows {int(pk in won)}", changed=pk in won) for pk in ids}

    def close(self) -> None:
        return


class PortalClaimer:
    batch = 1

    def __init__(self, organismo: Organismo) -> None:
        self.portal = portal_of(organismo)
        self.account = organismo.configured_account

    def open(self) -> None:
        try:
            self.portal.login()
            self.account = self.portal.account()
        except portal.PortalError as error:
            raise ClaimerUnavailable(str(error)) from error

    def claim(self, claims: list[Claim]) -> dict[int, Answer]:
        return {claim.resource_id: self._assign(claim.resource_id) for claim in claims}

    def _assign(self, pk: int) -> Answer:
        try:
            return Answer(f"HTTP {self.portal.assign(pk)}")
        except (portal.BadCredentials, portal.SessionExpired) as error:
            raise ClaimerUnavailable(str(error)) from error
        except portal.PortalError as error:
            return Answer(f"{type(error).__name__}: {error}"[:200])

    def close(self) -> None:
        self.portal.close()


class BrowserClaimer:
    """The claim as a flow in a browser; the session is kept from case to case."""

    batch = 1

    def __init__(self, organismo: Organismo) -> None:
        self.organismo = organismo
        self.account = organismo.configured_account
        self.browser = BrowserThread(settings.BROWSER_EXECUTABLE, settings.BROWSER_HEADLESS)
        self.session: dict[str, Any] | None = None

    def open(self) -> None:
        self._log_in()

    def claim(self, claims: list[Claim]) -> dict[int, Answer]:
        return {claim.resource_id: self._assign(claim) for claim in claims}

    def close(self) -> None:
        self.browser.close()

    def _log_in(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            outcome = self._run(self.organismo.login_flow, {}, Path(folder))
        if not outcome.ok:
            raise ClaimerUnavailable(outcome.message)
        self.session = outcome.storage_state
        self.account = str(outcome.values.get("account") or self.account).strip()

    def _assign(self, claim: Claim) -> Answer:
        payload = {"idRecurso": claim.resource_id, "expediente": claim.before["Expedient"]}
        with tempfile.TemporaryDirectory() as folder:
            outcome = self._run(self.organismo.claim_flow, payload, Path(folder))
            if outcome.error_class == "session":
                self._log_in()
                outcome = self._run(self.organismo.claim_flow, payload, Path(folder))
            kept = evidence.keep(claim, 1, f"claims/{claim.case_id}/{claim.pk}", outcome.artifacts)
        return Answer(
            (outcome.message or "clicked")[:200], screenshot=evidence.last_screenshot(kept)
        )

    def _run(self, flow_name: str, payload: Mapping[str, Any], folder: Path) -> Outcome:
        flow = Flow.active_version(flow_name)
        if flow is None:
            text = _("The flow “%(name)s” has no active version.") % {"name": flow_name}
            raise ClaimerUnavailable(text)
        try:
            flow.verify()
        except EnvelopeRefused as error:
            raise ClaimerUnavailable(f"{flow}: {error}") from error
        urls = {
            "login_url": self.organismo.login_url,
            "recursos_url": self.organismo.recursos_url,
        }
        run = Run(
            script=flow.script,
            script_hash=flow.script_hash,
            inputs={"payload": {**payload, **urls}},
            secrets={"email": settings.XVIA_EMAIL, "password": settings.XVIA_PASSWORD},
            folder=folder,
            page_timeout=settings.PAGE_TIMEOUT.total_seconds(),
            storage_state=self.session,
            keep_session=True,
        )
        return self.browser.execute(run, deadline=settings.TASK_DEADLINE.total_seconds())


def claimer_for(organismo: Organismo) -> Claimer:
    """The organismo's own method, not yet open."""
    methods: dict[str, type[Any]] = {
        Organismo.ClaimMethod.SQL: SqlClaimer,
        Organismo.ClaimMethod.PORTAL: PortalClaimer,
        Organismo.ClaimMethod.BROWSER: BrowserClaimer,
    }
    return methods[organismo.claim_method](organismo)


def portal_of(organismo: Organismo) -> portal.Portal:
    """A client of the organismo's intranet with our credentials."""
    base = organismo.login_url.removesuffix("/").removesuffix("/login")
    return portal.Portal(base, settings.XVIA_EMAIL, settings.XVIA_PASSWORD)


def session_token(task: TramiteTask) -> str:
    """A fresh `{token}` of our intranet session, for a link that wants one at navigation."""
    organismo = Organismo.objects.get(site_id=task.site_id)
    client = portal_of(organismo)
    try:
        client.login()
        return client.token()
    finally:
        client.close()
