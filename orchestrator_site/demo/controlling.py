"""The demo's pass of the control plane: two organisations ask for runs over the API, workers run
what was signed, one script is tampered with, and each organisation is told how its jobs ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from django.conf import settings
from standardwebhooks import Webhook, WebhookVerificationError

from brain.models import Provider
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.demo.flows import INVOICES
from orchestrator_site.demo.world import granos
from orchestrator_site.sessions import me
from queues.job_worker import JobWorker
from queues.models import Job, WebhookDelivery
from queues.webhook_sending import WebhookSender

Tell = Callable[[str, int, int], None]  # what, how many done, of how many
PASSWORD = "Trigo-y-cebada-2026"  # of people who are invented, in a database that is thrown away
BUSY, QUIET = "Agro Levante", "Cooperativa Norte"
# Of whom each run is, for which month, and what is expected of it: status, invoices.
RUNS = (
    (BUSY, "10/2026", "done", 3),
    (BUSY, "11/2026", "done", 1),
    (BUSY, "10/2026", "error", 0),
    (BUSY, "", "done", 4),
    (QUIET, "11/2026", "done", 1),
)
TAMPERED = 2
REFUSAL = "Script integrity check failed"


@dataclass(frozen=True)
class JobOutcome:
    """One run. `turn`: as which it was begun. `told`: the webhook's event. `wrong` names each
    expectation that was not met."""

    organisation: str
    story: str
    turn: int
    status: str
    message: str
    invoices: int
    files: int
    told: str
    wrong: tuple[str, ...]


@dataclass
class Customer:
    """An organisation as its own program sees it: a token and addresses."""

    name: str
    api: str
    secret: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        return self.name.lower().replace(" ", "-")

    def ask(self, method: str, place: str, **body: Any) -> Any:
        answer = requests.request(
            method, f"{self.api}/{place}", json=body or None, headers=self.headers, timeout=20
        )
        answer.raise_for_status()
        return answer.json()

    def settle_in(self) -> None:
        """Register, connect the provider, build and activate the flow, ask to be told."""
        person = {"email": f"compras@{self.slug}.example", "password": PASSWORD, "name": "Compras"}
        entered = self.ask("POST", "auth/register", **person, orgName=self.name)
        self.headers["Authorization"] = f"Bearer {entered['token']}"
        self.ask("POST", "providers/granos/connect", cookies=[_cookie()])
        flow = self.ask(
            "POST",
            "flows",
            providerId="granos",
            version="1.0.0",
            name="Facturas",
            steps=INVOICES,
            inputs={"mes": {"type": "string", "default": "", "pattern": r"\d{2}/\d{4}|"}},
        )
        self.ask("POST", f"flows/{flow['flowId']}/activate", reason="demo")
        where = f"{settings.DEMO_WORLD_URL}/granos/avisos/{self.slug}"
        self.secret = self.ask("POST", "webhooks", url=where)["secret"]


def seed() -> None:
    """The provider that organisations can connect."""
    url = f"{settings.DEMO_WORLD_URL}/granos/"
    about = {
        "title": "Granos del Sur",
        "url": url,
        "probe_url": f"{url}facturas/",
        "probe_text": "Mis facturas",
    }
    Provider.objects.update_or_create(name="granos", defaults=about)


def run(address: str, tell: Tell) -> list[JobOutcome]:
    """`address`: where the application is served."""
    seed()
    customers = {name: Customer(name, f"{address}/api/v1") for name in (BUSY, QUIET)}
    for done, customer in enumerate(customers.values()):
        tell("organisations", done, len(customers))
        customer.settle_in()
    ids = [_asked(customers[name], month) for name, month, *_rest in RUNS]
    _tamper(ids[TAMPERED])
    begun = _worked_off(tell, len(ids))
    _told()
    return list(_judged(customers, ids, begun))


def _cookie() -> dict[str, str]:
    """What a browser has once somebody logged in to the portal in it."""
    portal, session = f"{settings.DEMO_WORLD_URL}/granos/", requests.Session()
    session.post(portal, data={"usuario": "compras", "clave": "secreta"}, timeout=10)
    host = portal.split("/")[2].partition(":")[0]
    return {"name": granos.COOKIE, "value": session.cookies[granos.COOKIE], "domain": host}


def _asked(customer: Customer, month: str) -> str:
    return str(customer.ask("POST", "run", providerId="granos", inputs={"mes": month})["jobId"])


def _tamper(job_id: str) -> None:
    """A byte of the script changes behind the application's back."""
    job = Job.objects.get(case_id=job_id)
    Job.objects.filter(pk=job.pk).update(script=job.script.replace("navigate", "navigata", 1))


def _worked_off(tell: Tell, count: int) -> list[str]:
    """The jobs in the order in which they were begun."""
    name, begun = me("jobs"), []
    with acting_as(ActorKind.WORKER, name):
        worker = JobWorker(name)
        try:
            while left := Job.objects.filter(status__in=(Job.Status.QUEUED, Job.Status.RUNNING)):
                waiting = {str(job.case_id) for job in left}
                worker.step()
                begun += sorted(waiting - set(_waiting()))
                tell("jobs", count - len(_waiting()), count)
        finally:
            worker.close()
    return begun


def _waiting() -> list[str]:
    rows = Job.objects.filter(status=Job.Status.QUEUED)
    return [str(case_id) for case_id in rows.values_list("case_id", flat=True)]


def _told() -> None:
    """Send the webhooks until none is due."""
    name = me("webhooks")
    with acting_as(ActorKind.WORKER, name):
        sender = WebhookSender(name)
        try:
            while WebhookDelivery.objects.filter(status__in=("pending", "sending")).exists():
                sender.step()
        finally:
            sender.close()


def _judged(
    customers: Mapping[str, Customer], ids: list[str], begun: list[str]
) -> Iterator[JobOutcome]:
    for number, ((name, month, expected, invoices), job_id) in enumerate(
        zip(RUNS, ids, strict=True)
    ):
        customer = customers[name]
        status = customer.ask("GET", f"jobs/{job_id}/status")
        found = customer.ask("GET", f"jobs/{job_id}/results")
        rows = (found["parsed"] or {}).get("facturas", [])
        told = _heard(customer, job_id)
        turn = begun.index(job_id) + 1 if job_id in begun else 0
        wrong = []
        if status["status"] != expected:
            wrong.append(f"status {status['status']}, not {expected}: {status['message']}")
        if len(rows) != invoices:
            wrong.append(f"{len(rows)} invoices, not {invoices}")
        if told != f"job.{expected}":
            wrong.append(f"told {told or 'nothing'}")
        if number == TAMPERED and (status["message"] != REFUSAL or found["results"]):
            wrong.append(f"not refused, but {status['message']}")
        if name == QUIET and turn != 2:
            wrong.append(f"begun as number {turn} behind the other organisation's")
        story = "a changed script" if number == TAMPERED else f"invoices {month or 'of all months'}"
        yield JobOutcome(
            organisation=name,
            story=story,
            turn=turn,
            status=status["status"],
            message=status["message"],
            invoices=len(rows),
            files=len(found["results"]),
            told=told,
            wrong=tuple(wrong),
        )


def _heard(customer: Customer, job_id: str) -> str:
    """The event that the organisation was told of the job, once, under a signature that holds."""
    events = []
    for headers, body in granos.heard(customer.slug):
        try:
            Webhook(customer.secret).verify(body, headers)
        except WebhookVerificationError:
            return "something with a wrong signature"
        message = json.loads(body)
        if message["data"]["jobId"] == job_id:
            events.append(message["type"])
    return " ".join(events)
