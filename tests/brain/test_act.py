"""The verbs from the shell."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from brain.verbs import VERBS
from orchestrator_site.models import Event
from orchestrator_site.verbs import operate_permission
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


def test_every_kind_has_a_permission_of_its_own() -> None:
    permissions = {operate_permission(model) for model, _verbs in VERBS.values()}
    assert len(permissions) == len(VERBS)
