"""What staff can be warned of about webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.utils.translation import gettext_lazy

from orchestrator_site.clock import db_now
from orchestrator_site.measures import Measure, Reading
from queues import sentences
from queues.models import WebhookDelivery, WebhookEndpoint


def given_up() -> Iterator[Reading]:
    """Addresses that were disabled because they failed; a person's are not among them."""
    dead = WebhookEndpoint.objects.filter(enabled=False, failing_since__isnull=False)
    for row in dead.select_related("organisation").defer("secret", "old_secret"):
        address = row.url.partition("?")[0]
        facts = {"url": address, "name": row.organisation.name, "why": row.disabled_because}
        subject = f"{row.organisation.name} {str(row.pk)[-8:]}"
        yield Reading(subject, 1, sentences.WEBHOOK_IS_DISABLED % facts)


def late_messages() -> Iterator[Reading]:
    """How many minutes ago the one should have gone that has waited longest."""
    due = WebhookDelivery.objects.due().filter(endpoint__enabled=True)
    oldest = due.order_by("available_at").values_list("available_at", flat=True).first()
    minutes = (db_now() - oldest) / timedelta(minutes=1) if oldest else 0
    yield Reading("", round(minutes, 1), sentences.WEBHOOK_WAITS % {"minutes": minutes})


MEASURES = (
    Measure(
        "webhook_disabled",
        gettext_lazy("Webhook disabled"),
        given_up,
        0,
        ">",
        "",
        gettext_lazy("1 while a webhook is disabled because it failed for too long."),
    ),
    Measure(
        "webhook_late",
        gettext_lazy("Webhooks not sent"),
        late_messages,
        10,
        ">",
        gettext_lazy("min"),
        gettext_lazy("How long ago the message should have gone that has waited longest."),
    ),
)
