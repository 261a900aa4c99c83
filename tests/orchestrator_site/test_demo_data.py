"""A fresh machine: prepared, filled with the demo, and the same when that is done again."""

from __future__ import annotations

import io
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.utils import timezone

from brain import rules, surveying
from brain.models import ClientAuthorisation, Flow, Organismo, RecursosExp
from orchestrator_site.demo import cases, seeding
from orchestrator_site.demo.world import faults
from orchestrator_site.management.commands.demo import Phases
from queues.browser import scripts
from tests.world import world_files

__all__ = ["world_files"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def machine(world_files: Path, origin: Callable[..., RecursosExp], settings: Any) -> Path:
    """A folder of its own; the rows go into the tests' origin."""
    settings.MEDIA_ROOT = world_files / "media"
    settings.ORIGIN_PATH = world_files / "origin.sqlite3"
    settings.DEMO = settings.ORIGIN_IS_EMBEDDED = True
    return world_files


def prepare() -> str:
    told = io.StringIO()
    call_command("prepare", stdout=told)
    return told.getvalue()


def contents() -> list[Any]:
    models = (Organismo, Flow, ClientAuthorisation, RecursosExp, User)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def login(told: str) -> tuple[str, str]:
    (line,) = [line for line in told.splitlines() if "Login" in line]
    name, _slash, password = line.replace("Login", "").strip().partition(" / ")
    return name, password


# --- prepare ----------------------------------------------------------------------------------


def test_the_login_that_is_printed_works(client: Any) -> None:
    name, password = login(prepare())
    assert name == "admin"
    assert len(password) >= 12
    user = User.objects.get(is_superuser=True)
    assert user.is_superuser
    assert user.check_password(password)


def test_preparing_again_changes_nothing_and_prints_the_same_login() -> None:
    first = prepare()
    before, switched = contents(), faults.active()
    assert prepare() == first
    assert contents() == before
    assert faults.active() == switched


def test_the_password_s_file_is_its_owner_s_alone(machine: Path) -> None:
    prepare()
    assert stat.S_IMODE((machine / "admin-password").stat().st_mode) == 0o600


def test_a_password_that_was_changed_is_not_printed(machine: Path) -> None:
    _name, old = login(prepare())
    user = User.objects.get(is_superuser=True)
    user.set_password("one of my own")
    user.save()
    told = prepare()
    assert "the password you gave it" in told
    assert old not in told
    user.refresh_from_db()
    assert user.check_password("one of my own")


def test_an_administrator_that_is_there_is_kept(machine: Path) -> None:
    User.objects.create_superuser("ana", password="a password of hers")
    told = prepare()
    assert "ana, with the password you gave it" in told
    assert User.objects.filter(is_superuser=True).count() == 1
    assert not (machine / "admin-password").exists()


def test_it_tells_the_port_of_the_settings_and_claims_to_serve_nothing(settings: Any) -> None:
    settings.PORT = 8123
    told = prepare()
    assert "http://127.0.0.1:8123/" in told
    assert "Ctrl-C" not in told


def test_without_the_demo_nothing_is_seeded(settings: Any) -> None:
    settings.DEMO = False
    told = prepare()
    assert "Login" in told
    assert "Demo world" not in told
    assert not Organismo.objects.exists()
    assert not RecursosExp.objects.exists()


def test_the_demo_stays_away_from_a_real_origin(settings: Any) -> None:
    settings.ORIGIN_IS_EMBEDDED = False
    with pytest.raises(CommandError, match="real origin"):
        prepare()
    assert not RecursosExp.objects.exists()


# --- The demo's data --------------------------------------------------------------------------


def test_every_case_is_there_once() -> None:
    assert max(Counter(case.pk for case in cases.CASES).values()) == 1
    numbers = Counter(cases.row_of(case)["Expedient"] for case in cases.CASES)
    del numbers[None]
    assert max(numbers.values()) == 1
    seeding.seed()
    assert RecursosExp.objects.count() == len(cases.CASES)


def test_what_staff_and_the_brain_changed_is_not_seeded_over() -> None:
    seeding.seed()
    RecursosExp.objects.filter(pk=1001).update(TExp=1, UsuarioAsignado="persona")
    Organismo.objects.filter(site_id="madrid").update(active=False, notes="mine")
    seeding.seed()
    assert RecursosExp.objects.get(pk=1001).UsuarioAsignado == "persona"
    assert Organismo.objects.get(site_id="madrid").notes == "mine"


def test_every_organismo_is_one_that_the_form_takes() -> None:
    seeding.seed()
    for row in Organismo.objects.all():
        row.full_clean()
        names = {row.flow_name, row.login_flow, row.claim_flow} - {""}
        assert all(Flow.active_version(name) for name in names)
    methods = Organismo.objects.values_list("claim_method", flat=True)
    assert sorted(methods) == sorted(Organismo.ClaimMethod.values)


def test_every_flow_is_valid_and_marks_what_sends() -> None:
    seeding.seed()
    for flow in Flow.objects.all():
        scripts.validate(flow.steps)
    filing = Flow.objects.filter(name__in=("xaloc_girona", "madrid"))
    for flow in filing:
        assert sum(bool(step.get("irrevocable")) for step in flow.steps) == 1


def test_each_case_is_taken_by_its_own_organismo_alone(motivos: None) -> None:
    seeding.seed()
    taken: dict[int, list[str]] = {}
    for organismo in Organismo.objects.all():
        for found in surveying.survey(organismo):
            taken.setdefault(found.judgement.case.id_recurso, []).append(organismo.site_id)
    assert {case.pk: [case.site] for case in cases.CASES if case.pk in taken} == taken
    expected = {
        case.pk for case in cases.CASES if case.expected.verdict not in ("not_found", "recovered")
    }
    assert set(taken) == expected


def test_every_phase_has_its_motivo() -> None:
    seeding.seed()
    organismo = Organismo.objects.get(site_id="xaloc_girona")
    judged_by = surveying.site_rules(organismo)
    keys = {
        rules.choose_motivo(cases.row_of(case)["FaseProcedimiento"], judged_by.motivos)
        for case in cases.ORDINARY
    }
    assert None not in keys
    assert len(keys) == 10


def test_one_authorisation_has_ended_and_the_others_hold() -> None:
    seeding.seed()
    today = timezone.localdate()
    valid = ClientAuthorisation.objects.valid_for
    assert valid(cases.ENDED, today) is None
    for numclient in cases.AUTHORISED:
        row = valid(numclient, today)
        assert row is not None
        assert row.file.open().read().startswith(b"%PDF")


# --- demo -------------------------------------------------------------------------------------


def test_a_pass_that_nobody_watches_tells_each_phase_once() -> None:
    told = io.StringIO()
    tell = Phases(OutputWrapper(told))
    for what, done in (("claiming", 0), ("filing", 1), ("filing", 2), ("claiming", 0)):
        tell(what, done, 2)
    assert told.getvalue() == "claiming ...\nfiling ...\nclaiming ...\n"
