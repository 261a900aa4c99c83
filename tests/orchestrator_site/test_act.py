"""The verbs from the shell."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from orchestrator_site.models import BulkAction, Event
from queues import claims
from queues.models import TramiteTask
from tests.factories import TramiteTaskFactory

pytestmark = pytest.mark.django_db


def act(*arguments: Any, out: StringIO | None = None, **options: Any) -> dict[str, Any]:
    out = out or StringIO()
    call_command("act", *map(str, arguments), json=True, stdout=out, **options)
    return json.loads(out.getvalue())


def test_a_verb_is_done_and_written_down_under_the_command() -> None:
    task = TramiteTaskFactory()
    told = act("tramite", "cancel", task.pk, reason="filed by hand")
    assert told == {"done": 1, "moved_on": 0, "refused": []}
    task.refresh_from_db()
    assert task.status == TramiteTask.Status.CANCELLED
    event = Event.objects.get(new="cancelled")
    assert (event.reason, event.actor_kind) == ("filed by hand", "command")
    assert event.actor.endswith(" act")


def test_a_dry_run_names_the_rows_that_fit_and_does_nothing() -> None:
    waiting = TramiteTaskFactory()
    done = TramiteTaskFactory(status=TramiteTask.Status.COMPLETED)
    arguments = ("tramite", "cancel", waiting.pk, done.pk)
    out = StringIO()
    with pytest.raises(CommandError, match=r"1 of 2.*not in a state for cancel"):
        act(*arguments, reason="just asking", dry_run=True, out=out)
    assert json.loads(out.getvalue()) == {"would": [str(waiting)], "left_alone": [str(done)]}
    assert not Event.objects.exists()


def test_a_dry_run_of_what_fits_ends_well() -> None:
    waiting = TramiteTaskFactory()
    told = act("tramite", "cancel", waiting.pk, reason="just asking", dry_run=True)
    assert told == {"would": [str(waiting)], "left_alone": []}


def test_a_dry_run_without_json_names_the_rows_in_lines() -> None:
    first, second = TramiteTaskFactory(), TramiteTaskFactory()
    out = StringIO()
    ids = [str(first.pk), str(second.pk)]
    call_command("act", "tramite", "hold", *ids, reason="asking", dry_run=True, stdout=out)
    assert str(first) in out.getvalue() and str(second) in out.getvalue()
    assert "[" not in out.getvalue()


def test_rows_that_do_not_fit_are_told_and_the_exit_is_not_zero() -> None:
    done = TramiteTaskFactory(status=TramiteTask.Status.COMPLETED)
    with pytest.raises(CommandError, match="0 of 1"):
        act("tramite", "authorise", done.pk, reason="by mistake")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("tramite", "fly", 1), "no verb fly"), (("tramite", "cancel", 99), "No tramite 99")],
)
def test_what_is_not_there_is_said(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        act(*arguments, reason="trying")


# --- By filters -----------------------------------------------------------------------------------


def test_all_that_match_are_done_and_reported() -> None:
    TramiteTaskFactory.create_batch(3, status=TramiteTask.Status.FAILED)
    TramiteTaskFactory.create_batch(2)
    told = act("tramite", "hold", filter=["status=pending"], reason="the office is closed")
    assert (told["rows"], told["done"], told["refused"]) == (2, 2, 0)
    assert BulkAction.objects.get(pk=told["bulk_action"]).filter == "status=pending"
    assert TramiteTask.objects.filter(status="held").count() == 2


def test_a_dry_run_of_a_filter_counts_and_names() -> None:
    TramiteTaskFactory()
    TramiteTaskFactory(status=TramiteTask.Status.FAILED)
    told = act("tramite", "hold", all=True, reason="asking", dry_run=True)
    assert (told["rows"], told["fitting"], len(told["left_alone"])) == (2, 1, 1)
    assert not BulkAction.objects.exists()


def test_a_value_is_given_and_checked() -> None:
    task = TramiteTaskFactory()
    assert act("tramite", "priority", task.pk, value="12", reason="urgent")["done"] == 1
    task.refresh_from_db()
    assert task.priority == 12
    for value in ("", "high", "99999"):
        with pytest.raises(CommandError, match="whole number"):
            act("tramite", "priority", task.pk, value=value, reason="urgent")
    with pytest.raises(CommandError, match="takes no --value"):
        act("tramite", "hold", task.pk, value="12", reason="urgent")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter": ["statu=x"]}, "no filter statu"),
        ({"filter": ["status"]}, "field=value"),
        ({"filter": ["status=flying"]}, "one of: pending"),
        ({}, "Say which rows"),
        ({"all": True, "filter": ["status=pending"]}, "Say which rows"),
        ({"all": True}, "no such row"),
    ],
)
def test_which_rows_is_said_once_and_clearly(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        act("tramite", "hold", reason="trying", **options)


def test_the_loops_are_paused_and_resumed() -> None:
    for loop in ("brain", "distribution"):
        call_command("pause", loop, reason="maintenance", stdout=StringIO())
        with pytest.raises(CommandError, match="paused already"):
            call_command("pause", loop, reason="maintenance", stdout=StringIO())
        call_command("resume", loop, reason="done", stdout=StringIO())
        with pytest.raises(CommandError, match="not paused"):
            call_command("resume", loop, reason="done", stdout=StringIO())


# --- Verbs that people do to what runs ------------------------------------------------------------


def running(**values: Any) -> TramiteTask:
    TramiteTaskFactory(**values)
    (task,) = TramiteTask.objects.take("w", timedelta(minutes=1))
    return task


def test_a_running_appeal_is_given_back_and_its_worker_changes_nothing() -> None:
    task = running()
    assert act("tramite", "give-back", task.pk, reason="the site is down")["done"] == 1
    row = TramiteTask.objects.get()
    assert (row.status, row.lease_token, row.max_attempts) == ("pending", None, 4)
    assert not claims.begin_irrevocable(task)
    assert not claims.finish(task, TramiteTask.Status.COMPLETED)


def test_an_appeal_whose_irrevocable_step_has_begun_is_not_given_back() -> None:
    task = running()
    late = TramiteTask.objects.get()  # seen before the step
    assert claims.begin_irrevocable(task)
    assert not late.give_back("too late")
    with pytest.raises(CommandError, match="0 of 1"):
        act("tramite", "give-back", task.pk, reason="too late")
    assert TramiteTask.objects.get().status == "processing"
