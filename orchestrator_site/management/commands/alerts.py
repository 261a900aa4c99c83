"""What is wrong now; and whether somebody would be told of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from orchestrator_site import alert_telling
from orchestrator_site.commands import ActingCommand
from orchestrator_site.logs import redact
from orchestrator_site.models import Alert, MaintenanceWindow

NOT_SET = "not configured"
SENT = "sent"


class Command(ActingCommand):
    help = "List the alerts that are raised, the worst first; or try each way of telling of them."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--test",
            action="store_true",
            help="send a test by e-mail (ALERT_EMAILS), to the webhook (ALERT_WEBHOOK_URL) and to"
            " the dead man's switch (DEADMAN_URL); ends with 1 where one that is set fails",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["test"]:
            self._test(options["json"])
        else:
            self._list(options["json"])

    def _list(self, as_json: bool) -> None:
        silenced = MaintenanceWindow.silenced_keys(timezone.now())
        raised = Alert.objects.raised().select_related("rule").worst_first()
        rows = [_told(alert, alert.rule_id in silenced) for alert in raised]
        if as_json:
            self.put_json(rows)
        elif rows:
            names = [name.replace("_", " ") for name in rows[0]]
            self.put_table("", names, [list(row.values()) for row in rows])
        else:
            self.stdout.write("No alert is raised.")

    def _test(self, as_json: bool) -> None:
        now = timezone.now()
        ways = {
            "e-mail": _way(settings.ALERT_EMAILS, _mail),
            "webhook": _way(settings.ALERT_WEBHOOK_URL, lambda: alert_telling.send_test(now)),
            "dead man's switch": _way(settings.DEADMAN_URL, alert_telling.ping),
        }
        if as_json:
            self.put_json(ways)
        else:
            self.put_table("", ("way", "outcome"), ways.items())
        if failed := [name for name, told in ways.items() if told not in (SENT, NOT_SET)]:
            raise CommandError(f"Failed: {', '.join(failed)}.")


def _way(setting: Any, send: Callable[[], str]) -> str:
    return (send() or SENT) if setting else NOT_SET


def _mail() -> str:
    """What went wrong, or ""."""
    letter = EmailMessage(
        subject="[Test] Alerts of the control room arrive here",
        body=f"Nothing is wrong. {settings.SITE_URL}\n",
        to=settings.ALERT_EMAILS,
    )
    try:
        letter.send()
    except Exception as error:  # each mail server has errors of its own
        return redact(f"{type(error).__name__}: {error}")
    return ""


def _told(alert: Alert, is_silenced: bool) -> dict[str, str | int | datetime | float | None]:
    return {
        "id": alert.pk,
        "severity": alert.rule.severity,
        "status": alert.status,
        "rule": alert.rule.name,
        "subject": alert.subject,
        "message": alert.message,
        "value": alert.value,
        "since": alert.first_seen_at,
        "told": "in maintenance" if is_silenced else _who_was_told(alert),
    }


def _who_was_told(alert: Alert) -> str:
    ways = {"e-mail": alert.notified_at, "webhook": alert.hooked_at}
    return ", ".join(name for name, at in ways.items() if at) or "nobody"
