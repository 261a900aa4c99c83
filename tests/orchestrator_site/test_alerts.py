"""Alerts: raised after a while, mailed once a cooldown, silenced, resolved; by one evaluator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator_site import alerting
from orchestrator_site.alerting import UNREADABLE, Measure, Reading
from orchestrator_site.measures import MEASURES
from orchestrator_site.models import Alert, AlertRule, ApiKey, Event, Lease
from orchestrator_site.verbs import apply
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Person = Callable[[str], User]
SignedIn = Callable[[str], Client]
Status = Alert.Status
NOW = timezone.now()
MINUTE = timedelta(minutes=1)
ACKNOWLEDGE, RESOLVE, SILENCE = alerting.ALERT_VERBS


class Queue:
    """A measure that tests set: how many wait, by generator."""

    def __init__(self) -> None:
        self.waiting: dict[str, Any] = {}
        self.error: Exception | None = None
        self.asked = 0

    def read(self) -> Iterator[Reading]:
        self.asked += 1
        if self.error:
            raise self.error
        for name, count in self.waiting.items():
            yield Reading(name, count, f"{count} wait for {name}")


@pytest.fixture(autouse=True)
def no_other_measure(db: None) -> Iterator[None]:
    """What the apps registered is none of these tests' business."""
    with patch.dict(MEASURES, clear=True):
        AlertRule.objects.all().delete()
        yield


@pytest.fixture
def queue() -> Queue:
    made = Queue()
    title = "People that wait"
    alerting.register(Measure("queue", title, made.read, 100, ">", "people", "Waiting."))
    return made


@pytest.fixture
def rule(queue: Queue, settings: Any) -> AlertRule:
    settings.ALERT_EMAILS = ["staff@example.org"]
    return AlertRule.objects.create(
        name="queue", measure="queue", threshold=100, cooldown_minutes=30
    )


def evaluate(minutes: float = 0) -> alerting.Evaluation:
    return alerting.evaluate(NOW + minutes * MINUTE)


# --- Beyond the threshold, for a time -------------------------------------------------------------


def test_a_reading_beyond_the_threshold_opens_an_alert(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101, "G_OTHER": 100}
    done = evaluate()
    alert = Alert.objects.get()
    assert (done.rules, done.opened, done.resolved, done.unreadable) == (1, 1, 0, ())
    assert (alert.status, alert.subject, alert.value) == (Status.OPEN, "G_SISEC", 101)
    assert alert.message == "101 wait for G_SISEC"
    assert alert.first_seen_at == alert.last_seen_at == alert.raised_at == NOW


def test_below_is_beyond_where_the_measure_says_so(rule: AlertRule) -> None:
    readings = [Reading("a", 49.9, ""), Reading("b", 50, ""), Reading("c", 0, "")]
    alerting.register(Measure("success", "Success rate", lambda: readings, 50, "<", "%"))
    AlertRule.objects.update(measure="success", threshold=50)
    evaluate()
    assert set(Alert.objects.values_list("subject", flat=True)) == {"a", "c"}


def test_it_must_be_beyond_for_as_long_as_the_rule_says(rule: AlertRule, queue: Queue) -> None:
    AlertRule.objects.update(for_seconds=600)
    queue.waiting = {"G_SISEC": 101}
    for minutes in (0, 5, 9.9):
        assert evaluate(minutes).opened == 0
        assert Alert.objects.get().status == Status.PENDING
    assert mail.outbox == []
    assert not Event.objects.exists()
    assert evaluate(10).opened == 1
    alert = Alert.objects.get()
    assert (alert.first_seen_at, alert.raised_at) == (NOW, NOW + 10 * MINUTE)
    assert len(mail.outbox) == 1


def test_a_reading_that_was_back_in_time_begins_anew(rule: AlertRule, queue: Queue) -> None:
    AlertRule.objects.update(for_seconds=600)
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    queue.waiting = {"G_SISEC": 1}
    evaluate(5)
    assert not Alert.objects.exists()
    queue.waiting = {"G_SISEC": 101}
    evaluate(6)
    evaluate(11)
    assert Alert.objects.get().status == Status.PENDING
    assert evaluate(16).opened == 1


def test_a_live_alert_shows_the_last_reading(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    queue.waiting = {"G_SISEC": 250}
    assert evaluate(1).opened == 0
    alert = Alert.objects.get()
    assert (alert.value, alert.message) == (250, "250 wait for G_SISEC")
    assert (alert.raised_at, alert.last_seen_at) == (NOW, NOW + MINUTE)


def test_rules_of_one_measure_read_it_once(rule: AlertRule, queue: Queue) -> None:
    AlertRule.objects.create(name="queue, really", measure="queue", threshold=1000)
    queue.waiting = {"G_SISEC": 500}
    assert evaluate().opened == 1
    assert queue.asked == 1


def test_a_rule_that_is_switched_off_raises_nothing_and_ends_what_it_raised(
    rule: AlertRule, queue: Queue
) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    AlertRule.objects.update(enabled=False)
    assert evaluate(1).resolved == 1
    assert evaluate(2).rules == 0
    assert Alert.objects.get().status == Status.RESOLVED


# --- Resolution -----------------------------------------------------------------------------------


@pytest.mark.parametrize("waiting", [{"G_SISEC": 100}, {}], ids=["back", "gone"])
def test_an_alert_ends_when_its_reading_is_back(
    rule: AlertRule, queue: Queue, waiting: dict[str, int]
) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    queue.waiting = waiting
    assert evaluate(1).resolved == 1
    alert = Alert.objects.get()
    assert (alert.status, alert.resolved_at) == (Status.RESOLVED, NOW + MINUTE)
    moves = Event.objects.filter(case_id=alert.case_id).order_by("id").values_list("old", "new")
    assert list(moves) == [("pending", "open"), ("open", "resolved")]


def test_an_acknowledged_alert_ends_too(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    Alert.objects.get().acknowledge("on it")
    queue.waiting = {}
    assert evaluate(1).resolved == 1


def test_what_a_person_resolved_is_raised_again_while_it_lasts(
    rule: AlertRule, queue: Queue
) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    assert Alert.objects.get().resolve("a mistake")
    assert evaluate(1).opened == 1
    assert list(Alert.objects.order_by("id").values_list("status", flat=True)) == [
        "resolved",
        "open",
    ]


def test_a_subject_has_one_live_alert_of_a_rule(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    times = {"first_seen_at": NOW, "last_seen_at": NOW}
    for status in Alert.LIVE:
        with pytest.raises(IntegrityError), transaction.atomic():
            Alert.objects.create(rule=rule, subject="G_SISEC", status=status, **times)
    Alert.objects.create(rule=rule, subject="G_SISEC", status=Status.RESOLVED, **times)


# --- E-mails --------------------------------------------------------------------------------------


def test_an_alert_is_mailed_with_what_staff_need_to_know(
    rule: AlertRule, queue: Queue, settings: Any
) -> None:
    settings.SITE_URL = "https://room.example.org"
    queue.waiting = {"G_SISEC": 101, "G_'OTHER'": 102}
    assert evaluate().mailed == 2
    (letter,) = mail.outbox
    assert letter.to == ["staff@example.org"]
    assert letter.subject == "[Warning] People that wait: G_SISEC, G_'OTHER'"
    assert "People that wait > 100 people" in letter.body
    assert "101 wait for G_SISEC" in letter.body
    assert "102 wait for G_'OTHER'" in letter.body
    for alert in Alert.objects.all():
        page = reverse("admin:orchestrator_site_alert_change", args=[alert.pk])
        assert f"https://room.example.org{page}" in letter.body
        assert alert.notified_at == NOW


def test_the_addresses_of_a_rule_go_before_the_general_ones(rule: AlertRule, queue: Queue) -> None:
    AlertRule.objects.update(emails="ana@example.org, luis@example.org,")
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    assert mail.outbox[0].to == ["ana@example.org", "luis@example.org"]


def test_without_an_address_nothing_is_sent_nor_said_to_be(
    rule: AlertRule, queue: Queue, settings: Any
) -> None:
    settings.ALERT_EMAILS = []
    queue.waiting = {"G_SISEC": 101}
    assert (evaluate().opened, mail.outbox) == (1, [])
    assert Alert.objects.get().notified_at is None


def test_an_open_alert_is_mailed_again_after_each_cooldown(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    assert [evaluate(minutes).mailed for minutes in (0, 1, 29, 30, 31, 59, 60)] == [
        *(1, 0, 0),
        *(1, 0, 0),
        1,
    ]


def test_an_acknowledged_alert_is_silent(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    assert Alert.objects.get().acknowledge("on it")
    assert [evaluate(minutes).mailed for minutes in (30, 90, 900)] == [0, 0, 0]
    assert Alert.objects.get().last_seen_at == NOW + 900 * MINUTE


def test_what_comes_back_within_the_cooldown_sends_no_second_mail(
    rule: AlertRule, queue: Queue
) -> None:
    for minutes, waiting in [(0, 101), (5, 1), (10, 101)]:
        queue.waiting = {"G_SISEC": waiting}
        evaluate(minutes)
    assert Alert.objects.filter(status=Status.OPEN).count() == 1
    assert len(mail.outbox) == 1
    assert evaluate(29).mailed == 0
    assert evaluate(30).mailed == 1


def test_one_subject_s_cooldown_silences_no_other(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    queue.waiting["G_OTHER"] = 101
    assert evaluate(1).mailed == 1
    assert mail.outbox[1].subject.endswith(": G_OTHER")


class Refusing:
    """A mail server that is down while `is_down`."""

    is_down = True

    def __init__(self, **options: Any) -> None: ...

    def send_messages(self, messages: list[Any]) -> int:
        if Refusing.is_down:
            raise ConnectionRefusedError("smtp://robot:HUSH@mail.example.org")
        mail.outbox.extend(messages)
        return len(messages)


@pytest.fixture
def mail_server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> type[Refusing]:
    settings.EMAIL_BACKEND = f"{__name__}.Refusing"
    monkeypatch.setattr(Refusing, "is_down", True)
    return Refusing


def test_a_mail_server_that_is_down_loses_no_alert(
    rule: AlertRule, queue: Queue, mail_server: type[Refusing]
) -> None:
    queue.waiting = {"G_SISEC": 101}
    assert (evaluate().opened, evaluate(1).mailed) == (1, 0)
    alert = Alert.objects.get()
    assert (alert.status, alert.notified_at) == (Status.OPEN, None)
    assert "ConnectionRefusedError" in alert.notify_error
    assert "HUSH" not in alert.notify_error
    mail_server.is_down = False
    assert evaluate(2).mailed == 1
    alert.refresh_from_db()
    assert (alert.notified_at, alert.notify_error) == (NOW + 2 * MINUTE, "")
    assert evaluate(3).mailed == 0


def test_a_second_mail_that_fails_is_tried_before_the_next_cooldown(
    rule: AlertRule, queue: Queue, mail_server: type[Refusing]
) -> None:
    queue.waiting = {"G_SISEC": 101}
    mail_server.is_down = False
    evaluate()
    mail_server.is_down = True
    assert evaluate(30).mailed == 0
    assert Alert.objects.get().notified_at == NOW
    mail_server.is_down = False
    assert evaluate(31).mailed == 1


def test_a_rule_whose_mail_fails_keeps_no_other_from_being_told(
    rule: AlertRule, queue: Queue
) -> None:
    AlertRule.objects.update(emails="not an address\r\nBcc: x")
    AlertRule.objects.create(name="queue too", measure="queue", threshold=1)
    queue.waiting = {"G_SISEC": 101}
    assert evaluate().mailed == 1
    assert Alert.objects.get(rule__name="queue").notify_error


# --- Measures that cannot be read -----------------------------------------------------------------


def test_a_measure_that_raises_is_itself_an_alert_and_stops_no_other(
    rule: AlertRule, queue: Queue
) -> None:
    def broken() -> Iterator[Reading]:
        yield Reading("x", 1, "")
        raise OSError("no route to token=HUSH")

    alerting.register(Measure("broken", "Broken", broken, 0, ">"))
    AlertRule.objects.create(name="broken", measure="broken", threshold=0)
    queue.waiting = {"G_SISEC": 101}
    done = evaluate()
    assert (done.opened, done.mailed, done.unreadable) == (2, 2, ("broken",))
    alert = Alert.objects.get(rule__name="broken")
    assert (alert.status, alert.subject, alert.value) == (Status.OPEN, UNREADABLE, None)
    assert alert.message.startswith("measure broken cannot be read: OSError: no route")
    assert "HUSH" not in alert.message


def test_while_a_measure_cannot_be_read_its_alerts_stay(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    queue.error = OSError("gone")
    assert (evaluate(1).opened, evaluate(2).resolved) == (1, 0)
    assert Alert.objects.raised().count() == 2
    queue.error, queue.waiting = None, {"G_SISEC": 102}
    assert evaluate(3).resolved == 1
    (alert,) = Alert.objects.raised()
    assert (alert.subject, alert.raised_at) == ("G_SISEC", NOW)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "many"])
def test_a_value_that_is_no_number_is_an_error_of_the_measure(
    rule: AlertRule, queue: Queue, value: Any
) -> None:
    queue.waiting = {"G_SISEC": value}
    assert evaluate().unreadable == ("queue",)


def test_a_measure_that_no_app_has_any_more_is_told(rule: AlertRule) -> None:
    AlertRule.objects.update(measure="gone")
    assert evaluate().unreadable == ("gone",)
    assert "measure gone cannot be read: no app has it" in Alert.objects.get().message
    assert (rule.title, AlertRule.objects.get().title) == ("People that wait", "gone")


def test_a_value_may_be_large_and_a_subject_long(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"x" * 500: Decimal("1e30")}
    evaluate()
    assert evaluate(1).opened == 0
    assert Alert.objects.get().value == 1e30


# --- Rules ----------------------------------------------------------------------------------------


def test_each_measure_gets_a_rule_after_a_migration(queue: Queue) -> None:
    alerting.register(
        Measure("pool", "Pool", queue.read, Decimal("0.5"), ">", default_for_seconds=600)
    )
    call_command("migrate", verbosity=0)
    rules = {rule.name: rule for rule in AlertRule.objects.all()}
    assert set(rules) == {"queue", "pool"}
    assert (rules["queue"].threshold, rules["queue"].for_seconds) == (100, 0)
    assert (rules["pool"].threshold, rules["pool"].for_seconds) == (Decimal("0.5"), 600)
    assert all(rule.enabled for rule in rules.values())


def test_a_migration_leaves_the_rules_of_staff_as_they_are(queue: Queue) -> None:
    alerting.make_rules()
    AlertRule.objects.update(name="ours", threshold=7, enabled=False)
    call_command("migrate", verbosity=0)
    (rule,) = AlertRule.objects.all()
    assert (rule.name, rule.threshold, rule.enabled) == ("ours", 7, False)


def test_before_the_table_is_there_no_rule_is_made(queue: Queue) -> None:
    class Before:
        all_models: dict[str, Any] = {"orchestrator_site": {}}

    alerting.make_rules(apps=Before)
    alerting.make_rules(using="recursos")
    assert not AlertRule.objects.exists()
    alerting.make_rules(apps=apps)
    assert AlertRule.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("measure", "gone"),
        ("emails", "staff@example.org, nobody"),
        ("cooldown_minutes", 0),
        ("for_seconds", 10**9),
        ("severity", "bad"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: AlertRule, field: str, value: Any) -> None:
    setattr(rule, field, value)
    with pytest.raises(ValidationError) as refused:
        rule.full_clean()
    assert list(refused.value.message_dict) == [field]


def test_a_rule_with_alerts_is_not_deleted(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    with pytest.raises(ProtectedError):
        rule.delete()


# --- Two at once ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_evaluators_at_once_one_raises_an_alert_and_one_mails_it(
    rule: AlertRule, queue: Queue
) -> None:
    queue.waiting = {f"G_{number}": 101 for number in range(5)}
    done = together(4, lambda number: alerting.evaluate(NOW + number * timedelta(seconds=1)))
    assert Alert.objects.filter(status=Status.OPEN).count() == Alert.objects.count() == 5
    assert Event.objects.count() == sum(one.opened for one in done) == 5
    mailed = sorted(
        subject for letter in mail.outbox for subject in re.findall(r"G_\d", letter.subject)
    )
    assert mailed == sorted(queue.waiting)


@pytest.mark.django_db(transaction=True)
def test_of_evaluators_at_once_one_resolves(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    queue.waiting = {}
    done = together(4, lambda _number: evaluate(1))
    assert sum(one.resolved for one in done) == 1
    assert Event.objects.filter(new="resolved").count() == 1


def test_what_another_raised_meanwhile_is_not_forgotten(rule: AlertRule, queue: Queue) -> None:
    AlertRule.objects.update(for_seconds=60)
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    stale = Alert.objects.get()
    evaluate(1)
    assert not stale.clear("back", NOW + MINUTE)
    assert Alert.objects.get().status == Status.OPEN


def test_a_tick_finds_another_evaluating_and_leaves_it_alone(rule: AlertRule, queue: Queue) -> None:
    queue.waiting = {"G_SISEC": 101}
    other = Lease.acquire(alerting.EVALUATOR, "another", timedelta(minutes=1))
    assert other is not None
    assert alerting.tick() is None
    assert queue.asked == 0
    other.release()
    done = alerting.tick()
    assert done is not None and done.opened == 1
    assert Event.objects.get().actor == alerting.EVALUATOR
    assert alerting.tick() is not None, "the lease is given back"


def test_a_stale_copy_sends_no_second_mail(rule: AlertRule, queue: Queue, settings: Any) -> None:
    settings.ALERT_EMAILS = []
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    alert, stale = Alert.objects.get(), Alert.objects.get()
    assert alert.take_mail(NOW)
    assert not stale.take_mail(NOW)
    alert.refresh_from_db()
    Alert.objects.get().acknowledge("on it")
    assert not alert.take_mail(NOW), "acknowledged meanwhile"


# --- What staff do --------------------------------------------------------------------------------


@pytest.fixture
def alert(rule: AlertRule, queue: Queue) -> Alert:
    queue.waiting = {"G_SISEC": 101}
    evaluate()
    return Alert.objects.get()


def test_verbs_fit_the_states_that_they_are_for(alert: Alert) -> None:
    fitting = {}
    for status in Status:
        alert.status = status
        fitting[status] = [verb.name for verb in alerting.ALERT_VERBS if verb.fits(alert)]
    assert fitting == {
        Status.PENDING: [],
        Status.OPEN: ["acknowledge", "resolve", "silence"],
        Status.ACKNOWLEDGED: ["resolve", "silence"],
        Status.RESOLVED: [],
    }


def test_a_stale_copy_loses(alert: Alert) -> None:
    stale = Alert.objects.get()
    assert alert.resolve("over")
    assert apply(ACKNOWLEDGE, [stale], "on it").moved_on == 1
    assert apply(RESOLVE, [stale], "over").moved_on == 1
    assert Alert.objects.get().status == Status.RESOLVED


def test_an_operator_acknowledges_on_the_admin_s_page(alert: Alert, signed_in: SignedIn) -> None:
    client = signed_in("operator")
    page = reverse("admin:orchestrator_site_alert_change", args=[alert.pk])
    assert "verb/acknowledge/" in client.get(page).content.decode()
    verb = reverse("admin:orchestrator_site_alert_verb", args=[alert.pk, "acknowledge"])
    client.post(verb, {"confirmed": "1", "reason": "I look at it"})
    alert.refresh_from_db()
    assert alert.status == Status.ACKNOWLEDGED
    assert alert.acknowledgement is not None
    assert alert.acknowledgement.actor == "operator-person"
    text = client.get(page).content.decode()
    assert "operator-person" in text and "I look at it" in text


def test_a_viewer_sees_alerts_and_acts_on_none(alert: Alert, signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    assert client.get(reverse("admin:orchestrator_site_alert_changelist")).status_code == 200
    verb = reverse("admin:orchestrator_site_alert_verb", args=[alert.pk, "acknowledge"])
    assert client.post(verb, {"confirmed": "1", "reason": "I look"}).status_code == 403
    alert.refresh_from_db()
    assert alert.status == Status.OPEN


def test_an_admin_edits_a_rule_and_its_history_is_kept(
    rule: AlertRule, signed_in: SignedIn
) -> None:
    client = signed_in("admin")
    page = reverse("admin:orchestrator_site_alertrule_change", args=[rule.pk])
    assert "Waiting. (&gt; 100 people)" in client.get(page).content.decode()
    data = {"name": "queue", "measure": "queue", "threshold": "200.5", "for_seconds": 60}
    data |= {"severity": "critical", "cooldown_minutes": 5, "emails": "", "enabled": "on"}
    assert client.post(page, data).status_code == 302
    rule.refresh_from_db()
    assert (rule.threshold, rule.severity) == (Decimal("200.5"), "critical")
    assert [row.threshold for row in rule.history.all()] == [Decimal("200.5"), 100]
    assert client.get(reverse("admin:orchestrator_site_alertrule_add")).status_code == 200
    assert client.get(reverse("admin:orchestrator_site_alertrule_changelist")).status_code == 200


def test_an_operator_edits_no_rule(rule: AlertRule, signed_in: SignedIn) -> None:
    client = signed_in("operator")
    page = reverse("admin:orchestrator_site_alertrule_change", args=[rule.pk])
    assert client.get(page).status_code == 200
    assert client.post(page, {"name": "mine"}).status_code == 403


# --- The API --------------------------------------------------------------------------------------


@pytest.fixture
def caller(person: Person) -> Callable[[str], Client]:
    def make(role: str) -> Client:
        row = ApiKey(name="script", user=person(role), scope="admin")
        key = row.issue()
        row.save()
        return Client(headers={"Authorization": f"Bearer {key}"})

    return make


def test_a_script_lists_alerts_and_acknowledges(
    alert: Alert, caller: Callable[[str], Client]
) -> None:
    client = caller("operator")
    listed = client.get("/api/v1/alerts/", {"status": "open", "rule__name": "queue"}).json()
    (row,) = listed["results"]
    assert (row["subject"], row["value"], row["severity"]) == ("G_SISEC", 101, "warning")
    path = f"/api/v1/alerts/{alert.pk}/acknowledge/"
    answer = client.post(path, {"reason": "on it"}, content_type="application/json")
    assert (answer.status_code, answer.json()["status"]) == (200, "acknowledged")
    again = client.post(path, {"reason": "on it"}, content_type="application/json")
    assert again.status_code == 409
    assert Event.objects.filter(new="acknowledged").get().actor == "operator-person/script"
    resolved = client.post(
        f"/api/v1/alerts/{alert.pk}/resolve/", {"reason": "over"}, content_type="application/json"
    )
    assert resolved.json()["status"] == "resolved"


@pytest.mark.parametrize(
    ("role", "acts", "configures"),
    [("viewer", 403, 403), ("operator", 200, 403), ("admin", 200, 200)],
)
def test_a_key_may_what_its_role_may(
    alert: Alert, caller: Callable[[str], Client], role: str, acts: int, configures: int
) -> None:
    client = caller(role)
    assert client.get(f"/api/v1/alerts/{alert.pk}/").status_code == 200
    assert client.get(f"/api/v1/alert-rules/{alert.rule_id}/").json()["limit"] == "> 100 people"
    verb = f"/api/v1/alerts/{alert.pk}/acknowledge/"
    asked = client.post(verb, {"reason": "on it"}, content_type="application/json")
    assert asked.status_code == acts
    rule = f"/api/v1/alert-rules/{alert.rule_id}/"
    written = client.patch(rule, {"threshold": "7"}, content_type="application/json")
    assert written.status_code == configures
    assert client.post("/api/v1/alerts/", {}, content_type="application/json").status_code in (
        403,
        405,
    )


@pytest.mark.parametrize(
    "values",
    [{"measure": "gone"}, {"emails": "nobody"}, {"cooldown_minutes": 0}, {"threshold": "much"}],
)
def test_the_api_refuses_a_rule_that_makes_no_sense(
    rule: AlertRule, caller: Callable[[str], Client], values: dict[str, Any]
) -> None:
    answer = caller("admin").patch(
        f"/api/v1/alert-rules/{rule.pk}/", values, content_type="application/json"
    )
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == list(values)


def test_an_admin_s_key_makes_a_rule_and_deletes_it(
    rule: AlertRule, caller: Callable[[str], Client]
) -> None:
    client = caller("admin")
    data = {"name": "second", "measure": "queue", "threshold": "500", "severity": "critical"}
    made = client.post("/api/v1/alert-rules/", data, content_type="application/json")
    assert made.status_code == 201
    assert client.delete(f"/api/v1/alert-rules/{made.json()['id']}/").status_code == 204


# --- The overview ---------------------------------------------------------------------------------


def overview(client: Client) -> str:
    return client.get(reverse("admin:index")).content.decode()


def test_the_overview_shows_what_is_wrong_with_a_button(alert: Alert, signed_in: SignedIn) -> None:
    text = overview(signed_in("operator"))
    assert 'class="alarms"' in text
    assert "101 wait for G_SISEC" in text
    assert "> 100 people" in text.replace("&gt;", ">")
    assert reverse("admin:orchestrator_site_alert_change", args=[alert.pk]) in text
    verb = reverse("admin:orchestrator_site_alert_verb", args=[alert.pk, "acknowledge"])
    assert verb in text
    alert.acknowledge("on it")
    text = overview(signed_in("admin"))
    assert "101 wait for G_SISEC" in text
    assert verb not in text


def test_the_overview_says_nothing_where_nothing_is_wrong(
    alert: Alert, queue: Queue, signed_in: SignedIn
) -> None:
    queue.waiting = {}
    evaluate(1)
    AlertRule.objects.update(for_seconds=60)
    queue.waiting = {"G_SISEC": 101}
    evaluate(2)
    assert Alert.objects.live().get().status == Status.PENDING
    assert "alarm" not in overview(signed_in("viewer"))


def test_only_those_who_may_see_alerts_are_shown_them(alert: Alert, client: Client) -> None:
    client.force_login(User.objects.create_user("new", password="x", is_staff=True))
    assert "alarm" not in overview(client)


def test_a_viewer_is_shown_no_button(alert: Alert, signed_in: SignedIn) -> None:
    text = overview(signed_in("viewer"))
    assert 'class="alarms"' in text
    assert "/verb/acknowledge/" not in text


def test_the_worst_come_first_and_the_rest_is_counted(
    rule: AlertRule, queue: Queue, signed_in: SignedIn
) -> None:
    AlertRule.objects.create(name="worse", measure="queue", threshold=500, severity="critical")
    queue.waiting = {f"G_{number}": 101 for number in range(6)} | {"G_WORST": 501, "<b>": 502}
    evaluate()
    Alert.objects.get(rule__name="worse", subject="<b>").acknowledge("on it")
    first, second, *_others = Alert.objects.raised().worst_first()
    assert (first.subject, first.rule.severity) == ("G_WORST", "critical")
    assert second.rule.severity == "warning"
    assert list(Alert.objects.raised().worst_first())[-1].subject == "<b>"
    text = overview(signed_in("viewer"))
    assert "5 more alerts" in text
    assert text.count('<div class="alarm') == 5


def test_the_database_knows_the_states(rule: AlertRule) -> None:
    times: dict[str, datetime] = {"first_seen_at": NOW, "last_seen_at": NOW}
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(rule=rule, subject="x", status="gone", **times)
