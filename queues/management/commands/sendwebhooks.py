"""The loop that sends webhooks, in the foreground."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.commands import ActingCommand
from orchestrator_site.sessions import me, run_leased
from orchestrator_site.stopping import Stop, stop_on_signals
from queues.models import WebhookAttempt, WebhookDelivery
from queues.webhook_sending import WebhookSender

BUSY = 15.0  # seconds until a look whether another sender has ended


class Command(ActingCommand):
    help = (
        "Tell webhooks how jobs ended: until stopped, or (--drain) until no message is due. While "
        "another process sends, a cluster's for example, this one waits for it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--drain", action="store_true", help="end when no message is due")

    def handle(self, *args: Any, **options: Any) -> None:
        begun, name = timezone.now(), me("webhooks")
        with stop_on_signals() as stop, acting_as(ActorKind.WORKER, name):
            sender = WebhookSender(name)
            step = _drained(sender, stop) if options["drain"] else sender.step
            try:
                self._send(step, stop)
            finally:
                sender.close()
        calls = WebhookAttempt.objects.filter(at__gte=begun).count()
        if options["json"]:
            self.put_json({"sender": name, "calls": calls})
        else:
            self.stdout.write(f"{name}: {calls} calls")

    def _send(self, step: Callable[[Callable[[], bool]], bool], stop: Stop) -> None:
        while not stop():
            if not run_leased("webhooks", step, stop, channel=WebhookDelivery._meta.db_table):
                self.stderr.write("Another process sends webhooks; waiting for it.")
                stop.wait(BUSY)


def _drained(sender: WebhookSender, stop: Stop) -> Callable[[Callable[[], bool]], bool]:
    """The sender's step, which asks for the stop itself once nothing is due or under way."""

    def step(stopped: Callable[[], bool]) -> bool:
        worked = sender.step(stopped)
        if not worked and not WebhookDelivery.objects.due().filter(endpoint__enabled=True).exists():
            stop.request()
        return worked

    return step
