"""The shares: set together, in history, gone back to, and as the document's arrays."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from brain import main_config, shares
from brain.shares import InvalidShares, SharesMoved
from orchestrator_site.actors import acting_as
from orchestrator_site.models import Event
from queues.models import Generator, ShareChange
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
LEVELS = ("good", "normal", "bad")
ALL_IAD = {"G_IAD": 100, "G_MASTER": 0, "G_IAD2": 0, "G_SISEC": 0}
EVEN = {"G_IAD": 25, "G_MASTER": 25, "G_IAD2": 25, "G_SISEC": 25}


def each(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {level: dict(row) for level in LEVELS}


# --- Set together ---------------------------------------------------------------------------------


def test_the_first_shares_are_those_of_the_documents() -> None:
    assert shares.current() == {
        "good": {"G_IAD": 25, "G_MASTER": 25, "G_IAD2": 40, "G_SISEC": 10},
        "normal": {"G_IAD": 45, "G_MASTER": 20, "G_IAD2": 30, "G_SISEC": 5},
        "bad": {"G_IAD": 75, "G_MASTER": 10, "G_IAD2": 10, "G_SISEC": 5},
    }
    assert list(shares.current()["good"]) == ["G_IAD", "G_MASTER", "G_IAD2", "G_SISEC"]


def test_shares_are_set_and_kept_with_who_and_why() -> None:
    with acting_as("user", "ana"):
        change = shares.put(each(EVEN), "a quiet night")
    assert change and (change.by, change.reason) == ("user:ana", "a quiet night")
    assert shares.current() == each(EVEN) == change.shares
    event = Event.objects.get(object_type="queues.sharechange", object_id=str(change.pk))
    assert (event.new, event.actor, event.data) == ("shares set", "ana", each(EVEN))


def test_what_nobody_set_can_be_gone_back_to() -> None:
    before = shares.current()
    shares.put(each(EVEN), "a trial")
    first = ShareChange.objects.last()
    assert first and first.shares == before
    shares.revert(first, "it was worse")
    assert shares.current() == before
    assert [told.change.reason for told in shares.history(9)] == [
        "it was worse",
        "a trial",
        "as they were at first",
    ]


def test_the_same_shares_again_are_no_change() -> None:
    assert shares.put(shares.current(), "nothing") is None
    assert not ShareChange.objects.exists()
    assert shares.last_id() == 0


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"G_IAD": 24}, "Normal: the shares sum to 99 instead of 100."),
        ({"G_IAD": 26}, "Normal: the shares sum to 101 instead of 100."),
        ({"G_IAD": -25, "G_MASTER": 75}, "Normal: each share is a whole number"),
        ({"G_IAD": 25.0}, "Normal: each share is a whole number"),
        ({"G_IAD": True}, "Normal: each share is a whole number"),
        ({"G_IAD": "25"}, "Normal: each share is a whole number"),
        ({"G_IAD": None}, "Normal: each share is a whole number"),
        ({"G_NEW": 0}, "Normal: missing or unknown generators: G_NEW."),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(wrong: dict[str, Any], told: str) -> None:
    before = shares.current()
    asked = each(EVEN)
    asked["normal"] |= wrong
    with pytest.raises(InvalidShares) as caught:
        shares.put(asked, "by mistake")
    (message,) = caught.value.messages
    assert message.startswith(told)
    assert shares.current() == before
    assert not ShareChange.objects.exists()
    assert not Event.objects.filter(new="shares set").exists()


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidShares) as caught:
        shares.put({"good": ALL_IAD, "bad": {"G_IAD": 100}, "awful": {}}, "by mistake")
    assert len(caught.value.messages) == 3
    assert "awful" in str(caught.value)


@settings(max_examples=60)
@given(
    rows=st.fixed_dictionaries(
        {
            level: st.fixed_dictionaries({name: st.integers(-1, 101) for name in EVEN})
            | st.permutations([60, 30, 10, 0]).map(lambda row: dict(zip(EVEN, row, strict=True)))
            for level in LEVELS
        }
    )
)
def test_shares_are_accepted_only_where_each_level_is_a_hundred(
    rows: dict[str, dict[str, int]],
) -> None:
    fits = all(
        sum(row.values()) == 100 and all(0 <= share <= 100 for share in row.values())
        for row in rows.values()
    )
    try:
        shares.check(rows, list(EVEN))
        accepted = True
    except InvalidShares:
        accepted = False
    assert accepted == fits


# --- Two people at once ---------------------------------------------------------------------------


def test_who_saves_on_what_is_no_longer_so_is_refused() -> None:
    seen = shares.last_id()
    theirs = shares.put(each(EVEN), "first", seen)
    with pytest.raises(SharesMoved) as caught:
        shares.put(each(ALL_IAD), "second", seen)
    assert caught.value.change == theirs
    assert "first" in str(caught.value)
    assert shares.current() == each(EVEN)
    assert shares.put(each(ALL_IAD), "second, knowing", shares.last_id())


def test_a_revert_on_what_is_no_longer_so_is_refused() -> None:
    shares.put(each(EVEN), "first")
    seen, first = shares.last_id(), ShareChange.objects.last()
    assert first
    shares.put(each(ALL_IAD), "second", seen)
    with pytest.raises(SharesMoved):
        shares.revert(first, "back", seen)
    assert shares.current() == each(ALL_IAD)


@pytest.mark.parametrize(
    ("typed", "base", "now", "offered", "disputed"),
    [
        ("a", "a", "a", "a", False),
        ("b", "a", "a", "b", False),
        ("a", "a", "b", "b", False),
        ("b", "a", "b", "b", False),
        ("b", "a", "c", "b", True),
        ("a", None, "b", "a", True),
        ("a", None, "a", "a", False),
    ],
)
def test_a_level_that_only_one_side_changed_is_that_sides(
    typed: str, base: str | None, now: str, offered: str, disputed: bool
) -> None:
    rows = {"a": EVEN, "b": ALL_IAD, "c": {**EVEN, "G_IAD": 0, "G_SISEC": 50}}
    still = {"normal": EVEN}
    found = shares.merged(
        {"good": rows[typed], **still},
        {"good": rows[base], **still} if base else None,
        {"good": rows[now], **still},
    )
    assert found.shares == {"good": rows[offered], **still}
    assert found.disputed == ({"good"} if disputed else set())


def test_what_held_when_somebody_looked_is_in_the_history() -> None:
    before = shares.current()
    first = shares.put(each(EVEN), "first")
    assert first
    shares.put(each(ALL_IAD), "second")
    assert shares.as_of(0) == before
    assert shares.as_of(first.pk) == each(EVEN)
    assert shares.as_of(first.pk + 99) is None
    fifth(share=0)
    assert shares.as_of(first.pk) == each({**EVEN, "G_FIFTH": 0})


@pytest.mark.django_db(transaction=True)
def test_of_eight_that_save_at_once_one_wins() -> None:
    generators(empty_first=True)
    seen = shares.last_id()

    def save(number: int) -> bool:
        row = {"G_IAD": 100 - number, "G_MASTER": number, "G_IAD2": 0, "G_SISEC": 0}
        try:
            return shares.put(each(row), f"number {number}", seen) is not None
        except SharesMoved:
            return False

    assert sum(together(8, save)) == 1
    assert ShareChange.objects.count() == 2  # as they were at first, and the winner's
    newest = ShareChange.objects.first()
    assert newest and newest.shares == shares.current()


def generators(empty_first: bool) -> None:
    """Tests with real transactions flush what a migration put there."""
    if empty_first and not Generator.objects.exists():
        for place, (name, share) in enumerate(EVEN.items()):
            short = name.removeprefix("G_")
            Generator.objects.create(
                name=name,
                short_name=short,
                handler="H",
                instance="I",
                fleet="devices",
                process=short,
                queue_collection=short,
                rotation_order=place,
                array_position=place,
                **{f"share_{level}": share for level in LEVELS},
            )


# --- History --------------------------------------------------------------------------------------


def test_history_tells_the_differences_in_words() -> None:
    shares.put(each(EVEN), "even")
    shares.put({**each(EVEN), "good": ALL_IAD}, "all to IAD")
    newest, _even, first = shares.history(9)
    assert newest.differences == [
        "Good: G_IAD 25 → 100, G_IAD2 25 → 0, G_MASTER 25 → 0, G_SISEC 25 → 0"
    ]
    assert first.differences == []
    assert len(shares.history(1)) == 1
    assert shares.history(1)[0].differences == newest.differences


def test_going_back_reckons_with_generators_that_came_and_went() -> None:
    shares.put(each(EVEN), "even")
    old = ShareChange.objects.first()
    assert old
    fifth(share=0)
    shares.put(each({**EVEN, "G_IAD": 5, "G_FIFTH": 20}), "a fifth")
    shares.revert(old, "without it")
    assert shares.current() == each({**EVEN, "G_FIFTH": 0})
    Generator.objects.filter(name="G_SISEC").delete()
    with pytest.raises(InvalidShares, match="75 instead of 100"):
        shares.revert(old, "once more")


def fifth(share: int) -> Generator:
    return Generator.objects.create(
        name="G_FIFTH",
        short_name="FIFTH",
        handler="H",
        instance="I",
        fleet="devices",
        process="FIFTH",
        queue_collection="imss_queue_fifth",
        rotation_order=9,
        array_position=9,
        share_good=share,
    )


# --- The document's arrays ------------------------------------------------------------------------


def test_the_arrays_stand_in_the_documents_order() -> None:
    assert main_config.order() == ["G_IAD2", "G_IAD", "G_MASTER", "G_SISEC"]
    assert main_config.export() == {
        "distribution_good": [40, 25, 25, 10],
        "distribution_normal": [30, 45, 20, 5],
        "distribution_bad": [10, 75, 10, 5],
        "iad2_enabled": True,
        "iad_enabled": True,
        "master_enabled": True,
        "sisec_enabled": True,
    }


def test_what_is_exported_is_read_back_without_a_change() -> None:
    setting = main_config.parse(json.dumps({"_id": "main_config", **main_config.export()}))
    assert setting.differences() == []
    assert main_config.write(setting, "again") is None
    assert not Event.objects.filter(reason="again").exists()


def test_arrays_and_flags_are_written_together() -> None:
    document = main_config.export()
    document |= {"distribution_good": [10, 20, 30, 40], "sisec_enabled": False}
    setting = main_config.read(document)
    assert setting.differences() == [
        "Good: G_IAD 25 → 20, G_IAD2 40 → 10, G_MASTER 25 → 30, G_SISEC 10 → 40",
        "G_SISEC is disabled",
    ]
    main_config.write(setting, "from the old system")
    good = shares.current()["good"]
    assert good == {"G_IAD2": 10, "G_IAD": 20, "G_MASTER": 30, "G_SISEC": 40}
    assert not Generator.objects.get(name="G_SISEC").enabled
    told = Event.objects.filter(reason="from the old system")
    assert set(told.values_list("new", flat=True)) == {"shares set", "disabled"}
    assert main_config.export() == document


def test_flags_that_are_not_named_stay() -> None:
    shares.switch(Generator.objects.get(name="G_SISEC"), False, "night")
    document = {key: row for key, row in main_config.export().items() if "enabled" not in key}
    main_config.write(main_config.read(document), "arrays alone")
    assert not Generator.objects.get(name="G_SISEC").enabled


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"distribution_good": [40, 25, 25]}, "list of 4 numbers: G_IAD2, G_IAD, G_MASTER"),
        ({"distribution_good": [40, 25, 25, 10, 0]}, "list of 4 numbers"),
        ({"distribution_good": "40,25,25,10"}, "list of 4 numbers"),
        ({"distribution_bad": None}, "distribution_bad must be a list"),
        ({"distribution_good": [40, 25, 25, 9]}, "sum to 99"),
        ({"distribution_good": [40.5, 24.5, 25, 10]}, "whole number"),
        ({"distribution_good": [[], {}, 25, 10]}, "whole number"),
        ({"sisec_enabled": "no"}, "flags of G_SISEC"),
        ({"sisec_enabled": 0}, "flags of G_SISEC"),
    ],
)
def test_a_document_that_does_not_fit_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidShares, match=told):
        main_config.read({**main_config.export(), **changed})


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 100_000, '"text"'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(InvalidShares):
        main_config.parse(text)


def test_a_late_import_changes_neither_shares_nor_flags() -> None:
    setting = main_config.read({**main_config.export(), "sisec_enabled": False})
    shares.put(each(EVEN), "somebody else")
    with pytest.raises(SharesMoved):
        main_config.write(setting, "late", seen=0)
    assert Generator.objects.get(name="G_SISEC").enabled


# --- The commands ---------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    told = io.StringIO()
    call_command(*arguments, stdout=told, stderr=io.StringIO())
    return told.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What exportshares prints, with a change in it."""
    document = json.loads(run("exportshares"))
    document["distribution_bad"] = [0, 100, 0, 0]
    path = tmp_path / "main_config.json"
    path.write_text(json.dumps(document))
    return path


def test_shares_are_imported_from_what_was_exported(file: Path) -> None:
    told = run("importshares", str(file), "--reason", "the move")
    assert "G_IAD2, G_IAD, G_MASTER, G_SISEC" in told
    assert "Bad: G_IAD 75 → 100" in told
    assert told.endswith("Written.\n")
    assert shares.current()["bad"] == ALL_IAD
    newest = ShareChange.objects.first()
    assert newest and newest.reason == "the move" and newest.by.startswith("command:")


def test_a_dry_run_tells_and_writes_nothing(file: Path) -> None:
    told = json.loads(run("importshares", str(file), "--dry-run", "--json"))
    assert told["order"] == ["G_IAD2", "G_IAD", "G_MASTER", "G_SISEC"]
    assert told["written"] is False
    assert told["differences"][0].startswith("Bad: G_IAD 75 → 100")
    assert shares.current()["bad"] != ALL_IAD
    assert not ShareChange.objects.exists()


def test_a_file_that_cannot_be_used_ends_the_command(file: Path, tmp_path: Path) -> None:
    file.write_text('{"distribution_good": [1, 2, 3, 4]}')
    with pytest.raises(CommandError, match="distribution_normal"):
        run("importshares", str(file))
    with pytest.raises(CommandError, match="No such file"):
        run("importshares", str(tmp_path / "nowhere.json"))
    assert not ShareChange.objects.exists()
