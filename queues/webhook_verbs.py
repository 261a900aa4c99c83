"""What a person does to webhooks and their messages."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from orchestrator_site.verbs import Verb
from queues import webhooks
from queues.models import WebhookEndpoint


def _ping(endpoint: WebhookEndpoint, reason: str) -> bool:
    return bool(webhooks.ping(endpoint))


def _rotate(endpoint: WebhookEndpoint, reason: str) -> bool:
    return bool(webhooks.rotate_secret(endpoint, reason))


SWITCH_VERBS = (
    Verb(
        "enable",
        _("Enable"),
        _(
            "It is told of jobs again. Messages that waited can be resent; of jobs that ended"
            " meanwhile it is not told."
        ),
        webhooks.enable,
        lambda endpoint: not endpoint.enabled,
        icon="play_circle",
        undo="disable",
    ),
    Verb(
        "disable",
        _("Disable"),
        _("It is told of nothing any more. What waits to be sent is cancelled."),
        webhooks.disable,
        lambda endpoint: endpoint.enabled,
        icon="block",
        is_dangerous=True,
    ),
)

ENDPOINT_VERBS = (
    Verb(
        "ping",
        _("Send a test message"),
        _("One message of the type “ping” is sent to the address, once."),
        _ping,
        lambda endpoint: endpoint.enabled,
        icon="network_ping",
    ),
    Verb(
        "rotate_secret",
        _("New secret"),
        _(
            "The new secret is shown once. For 24 hours messages are signed with the one before"
            " too, so that the receiver can change it."
        ),
        _rotate,
        lambda endpoint: True,
        icon="key",
        is_dangerous=True,
        in_background=False,
    ),
    *SWITCH_VERBS,
)

DELIVERY_VERBS = (
    Verb(
        "resend",
        _("Resend"),
        _("The message is sent once more, under its id: who has it already can tell."),
        webhooks.resend,
        lambda delivery: delivery.status in webhooks.ENDED,
        icon="replay",
    ),
)
