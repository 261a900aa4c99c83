"""Alerts told to a webhook and to a dead man's switch, over real sockets."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from orchestrator_site import alert_telling, alerting
from orchestrator_site.alerting import Measure, Reading
from orchestrator_site.measures import MEASURES
from orchestrator_site.models import Alert, AlertRule, MaintenanceWindow
from tests.receiver import Receiver, near, receiver  # noqa: F401  fixtures

pytestmark = pytest.mark.django_db
NOW = timezone.now()
MINUTE = timedelta(minutes=1)
SECRET = "whsec_YW4gaW52ZW50ZWQgc2VjcmV0IG9mIGFsZXJ0cyEh"
NOWHERE = "http://127.0.0.1:1/T0/hush-hush"


class Queue:
    """A measure that tests set: how many wait, by generator."""

    waiting: dict[str, int] = {}

    def read(self) -> Iterator[Reading]:
        for name, count in self.waiting.items():
            yield Reading(name, count, f"{count} wait for {name}")


@pytest.fixture
def queue(db: None) -> Iterator[Queue]:
    made = Queue()
    with patch.dict(MEASURES, clear=True):
        AlertRule.objects.all().delete()
        title = "People that wait"
        alerting.register(Measure("queue", title, made.read, 100, ">", "people", "Waiting."))
        AlertRule.objects.create(name="queue", measure="queue", threshold=100, severity="critical")
        yield made


@pytest.fixture
def hook(receiver: Receiver, settings: Any) -> Receiver:  # noqa: F811
    settings.ALERT_WEBHOOK_URL = receiver.url("/200/T0/hush-hush")
    settings.SITE_URL = "https://room.example.org"
    return receiver


def evaluate(minutes: float = 0) -> alerting.Evaluation:
    return alerting.evaluate(NOW + minutes * MINUTE)


def messages(hook: Receiver) -> list[Any]:
    return [json.loads(body) for _path, _headers, body in hook.heard]


def test_the_webhook_is_told_once_of_each_state(queue: Queue, hook: Receiver) -> None:
    queue.waiting = {"G_SISEC": 101}
    assert [evaluate(0).hooked, evaluate(1).hooked] == [1, 0]
    Alert.objects.get().acknowledge("I look at it")
    assert [evaluate(2).hooked, evaluate(3).hooked] == [1, 0]
    queue.waiting = {}
    assert [evaluate(4).hooked, evaluate(5).hooked] == [1, 0]
    raised, seen, over = messages(hook)
    kinds = [one["type"] for one in (raised, seen, over)]
    assert kinds == ["alert.raised", "alert.acknowledged", "alert.resolved"]
    alert = Alert.objects.get()
    assert raised["data"]["subject"] == "G_SISEC" and raised["data"]["value"] == 101
    assert raised["data"]["limit"] == "> 100 people" and raised["data"]["id"] == alert.pk
    assert raised["text"].startswith("[Critical] Open: People that wait: G_SISEC. 101 wait for")
    assert "https://room.example.org/admin/" in raised["text"]
    assert seen["data"]["reason"] == "I look at it"
    assert over["data"]["resolvedAt"] is not None
    assert (alert.hooked_status, alert.hook_error) == ("resolved", "")


def test_its_messages_are_signed(queue: Queue, hook: Receiver, settings: Any) -> None:
    settings.ALERT_WEBHOOK_SECRET = SECRET
    queue.waiting = {"G_SISEC": 101}
    alerting.evaluate(timezone.now())  # a message of long ago would not be believed
    ((_path, headers, body),) = hook.heard
    alert = Alert.objects.get()
    assert headers["webhook-id"] == f"{alert.case_id}-open"
    Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", {k.lower(): v for k, v in headers.items()})


def test_what_is_not_taken_is_told_again_under_the_same_id(
    queue: Queue, hook: Receiver, settings: Any
) -> None:
    settings.ALERT_WEBHOOK_URL = hook.url("/500/hush-hush")
    queue.waiting = {"G_SISEC": 101}
    assert [evaluate(0).hooked, evaluate(1).hooked] == [0, 0]
    alert = Alert.objects.get()
    assert (alert.hooked_status, alert.hook_error) == ("", "answered with status 500")
    settings.ALERT_WEBHOOK_URL = hook.url("/ok")
    assert [evaluate(2).hooked, evaluate(3).hooked] == [1, 0]
    alert.refresh_from_db()
    assert (alert.hooked_status, alert.hook_error) == ("open", "")
    assert len({headers["webhook-id"] for _path, headers, _body in hook.heard}) == 1


def test_the_end_of_what_it_never_heard_of_is_not_told(
    queue: Queue, hook: Receiver, settings: Any
) -> None:
    address, settings.ALERT_WEBHOOK_URL = settings.ALERT_WEBHOOK_URL, ""
    queue.waiting = {"G_OLD": 101, "G_NEW": 101}
    evaluate()
    queue.waiting = {"G_NEW": 101}
    settings.ALERT_WEBHOOK_URL = address
    evaluate(1)
    assert [one["data"]["subject"] for one in messages(hook)] == ["G_NEW"]


def test_in_maintenance_nothing_is_told_and_afterwards_what_lasts(
    queue: Queue, hook: Receiver
) -> None:
    MaintenanceWindow.objects.create(name="Disks", starts_at=NOW, ends_at=NOW + 10 * MINUTE)
    queue.waiting = {"G_SHORT": 101, "G_LONG": 101}
    evaluate(0)
    queue.waiting = {"G_LONG": 101}
    assert evaluate(9).hooked == 0 and hook.heard == []
    assert evaluate(10).hooked == 1
    assert [one["data"]["subject"] for one in messages(hook)] == ["G_LONG"]


def test_a_dead_webhook_is_given_up_after_a_few_and_keeps_nobody_s_mail(
    queue: Queue, hook: Receiver, settings: Any
) -> None:
    settings.ALERT_WEBHOOK_URL = hook.url("/500")
    settings.ALERT_EMAILS = ["staff@example.org"]
    queue.waiting = {f"G_{number}": 101 for number in range(8)}
    assert (evaluate(0).mailed, len(hook.heard)) == (8, alert_telling.FAILURES)
    evaluate(1)
    asked = [headers["webhook-id"] for _path, headers, _body in hook.heard]
    assert len(set(asked)) == 2 * alert_telling.FAILURES, "those that were not tried go first"


@pytest.mark.parametrize("url", [NOWHERE, "http://192.0.2.1/hush-hush", "ftp://x/hush-hush"])
def test_its_address_is_in_no_log_and_on_no_page(
    queue: Queue, settings: Any, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ALERT_WEBHOOK_URL = url
    queue.waiting = {"G_SISEC": 101}
    with caplog.at_level(logging.DEBUG):
        assert evaluate().hooked == 0
    error = Alert.objects.get().hook_error
    assert error and "hush" not in error and "127.0.0.1" not in error
    assert "hush" not in caplog.text


def test_a_secret_that_cannot_sign_is_told_without_it(
    queue: Queue, hook: Receiver, settings: Any
) -> None:
    settings.ALERT_WEBHOOK_SECRET = "whsec_"
    queue.waiting = {"G_SISEC": 101}
    assert evaluate().hooked == 0
    assert Alert.objects.get().hook_error == alert_telling.BAD_SECRET
    assert hook.heard == []


# --- The dead-man's ping --------------------------------------------------------------------------


def test_each_tick_says_that_we_watch(queue: Queue, hook: Receiver, settings: Any) -> None:
    settings.DEADMAN_URL = hook.url("/200/ping")
    alerting.tick()
    alerting.tick()
    assert hook.paths()["/200/ping"] == 2


def test_an_evaluation_that_fails_does_not(
    queue: Queue, hook: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEADMAN_URL = hook.url("/200/ping")
    monkeypatch.setattr(alerting, "_apply", lambda *_given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        alerting.tick()
    assert hook.heard == []


def test_one_that_nobody_hears_stops_nothing_and_tells_no_address(
    queue: Queue, hook: Receiver, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for url in (NOWHERE, hook.url("/500/hush"), "no address, hush"):
        settings.DEADMAN_URL = url
        assert alerting.tick() is not None
    assert "answered with status 500" in caplog.text
    assert "hush" not in caplog.text


# --- The command ----------------------------------------------------------------------------------


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("alerts", *words, stdout=out)
    return out.getvalue()


def test_the_command_lists_what_is_wrong(queue: Queue, hook: Receiver) -> None:
    assert run() == "No alert is raised.\n"
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    (row,) = json.loads(run("--json"))
    assert (row["subject"], row["severity"], row["told"]) == ("G_SISEC", "critical", "webhook")
    assert "G_SISEC" in run()
    MaintenanceWindow.objects.create(
        name="Disks", starts_at=timezone.now(), ends_at=timezone.now() + 10 * MINUTE
    )
    assert json.loads(run("--json"))[0]["told"] == "in maintenance"


def test_the_command_tries_each_way(queue: Queue, hook: Receiver, settings: Any) -> None:
    settings.ALERT_WEBHOOK_URL = settings.DEADMAN_URL = ""
    settings.ALERT_EMAILS = []
    assert set(json.loads(run("--test", "--json")).values()) == {"not configured"}
    settings.ALERT_EMAILS = ["staff@example.org"]
    settings.ALERT_WEBHOOK_URL = hook.url("/200/hook")
    settings.DEADMAN_URL = hook.url("/200/ping")
    assert set(json.loads(run("--test", "--json")).values()) == {"sent"}
    assert hook.paths() == {"/200/hook": 1, "/200/ping": 1}
    assert [letter.to for letter in mail.outbox] == [["staff@example.org"]]
    settings.ALERT_WEBHOOK_URL = hook.url("/500/hush")
    with pytest.raises(CommandError, match=r"Failed: webhook\."):
        run("--test")


def test_a_receiver_that_hangs_is_left_within_its_time(
    queue: Queue, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_telling, "DEADMAN_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.DEADMAN_URL = f"http://127.0.0.1:{silent.getsockname()[1]}/ping"
        assert alert_telling.ping() == "ReadTimeout"
