"""The device board: who holds what since when, the stuck ones on top, and who may know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devices.models import Device
from tests import distribution
from tests.factories import DeviceFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
BOARD = "/admin/devices/board/"


def seen(client: Client, query: str = "") -> Any:
    answer = client.get(BOARD + query)
    assert answer.status_code == 200
    return answer


def states(answer: Any) -> dict[str, str]:
    """The state of each device on the board, by its name."""
    cells = [cell for pool in answer.context["pools"] for cell in pool.cells]
    return {cell.device.device: cell.state for cell in cells}


def hold(device: Device, minutes: float | None) -> None:
    """As a task would that nobody knows of any more."""
    since = None if minutes is None else timezone.now() - timedelta(minutes=minutes)
    Device.objects.filter(pk=device.pk).update(
        available=False, task_start_time=since, updated_at=since or timezone.now()
    )


@pytest.fixture
def six(db: None) -> None:
    """A device in each state."""
    values: dict[str, dict[str, Any]] = {
        "free": {},
        "held": {},
        "stuck": {},
        "offline": {"online": False},
        "draining": {"status": "draining"},
        "quarantined": {"status": "quarantined", "online": False, "status_reason": "it failed"},
    }
    made = {name: DeviceFactory(device=name, **one) for name, one in values.items()}
    hold(made["held"], 1)
    hold(made["stuck"], 600)


def test_each_device_has_one_state_in_a_word(six: None, signed_in: SignedIn) -> None:
    answer = seen(signed_in("viewer"))
    assert {name: state for name, state in states(answer).items() if name != state} == {}
    assert list(states(answer))[:2] == ["stuck", "held"]
    (pool,) = answer.context["pools"]
    assert (pool.name, pool.total) == ("dev_devices/SISEC", 6)
    text = answer.content.decode()
    for word in ("Free", "Held", "Stuck", "Offline", "Draining", "Quarantined"):
        assert word in text
    assert 'title="it failed"' in text


def test_a_held_device_that_leaves_service_says_both(signed_in: SignedIn) -> None:
    hold(DeviceFactory(status="draining"), 1)
    (pool,) = seen(signed_in("viewer")).context["pools"]
    assert [(cell.state, list(map(str, cell.also))) for cell in pool.cells] == [
        ("held", ["Draining"])
    ]


def test_every_count_links_to_what_it_counts(six: None, signed_in: SignedIn) -> None:
    DeviceFactory(process="IAD", fleet="devices")
    client = signed_in("viewer")
    numbers = [one for pool in seen(client).context["pools"] for one in pool.numbers]
    assert len(numbers) == 7
    for one in numbers:
        answer = client.get(one.url)
        assert len(states(answer)) == one.count


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?state=free", {"free", "another"}),
        ("?q=HEL", {"held"}),
        ("?pool=devices/IAD", {"another"}),
        ("?pool=devices/IAD&state=held", set()),
        ("?state=unknown&q=ano", {"another"}),
    ],
)
def test_filters_narrow(six: None, signed_in: SignedIn, query: str, names: set[str]) -> None:
    DeviceFactory(device="another", process="IAD", fleet="devices")
    answer = seen(signed_in("viewer"), query)
    assert set(states(answer)) == names
    assert ("No device matches." in answer.content.decode()) == (not names)


def test_a_held_one_tells_its_task_generator_and_person(signed_in: SignedIn) -> None:
    distribution.pool()
    entry = distribution.assigned()
    text = seen(signed_in("viewer")).content.decode()
    assert f"/admin/queues/queueentry/{entry.pk}/change/" in text
    assert "G_SISEC" in text
    assert entry.curp in text


def test_who_may_not_know_people_sees_no_curp(client: Client) -> None:
    distribution.pool()
    entry = distribution.assigned()
    user = User.objects.create_user("devices-only", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_device"))
    client.force_login(user)
    text = seen(client).content.decode()
    assert "G_SISEC" in text
    assert entry.curp not in text
    assert states(seen(client, f"?q={entry.curp}")) == {}


def test_a_stuck_one_is_on_top_with_its_release_for_operators(
    six: None, signed_in: SignedIn
) -> None:
    stuck = Device.objects.get(device="stuck")
    verb = f"/admin/devices/device/{stuck.pk}/verb/release_stuck/"
    assert verb not in seen(signed_in("viewer")).content.decode()
    client = signed_in("operator")
    text = seen(client).content.decode()
    assert text.count(verb) == 1
    assert text.index("Stuck devices") < text.index("dev_devices/SISEC</h2>")
    client.post(verb, {"reason": "by the test", "confirmed": "1"})
    assert states(seen(client))["stuck"] == "free"


def test_since_when_nobody_knows_is_told(signed_in: SignedIn) -> None:
    hold(DeviceFactory(), None)
    assert "nobody knows when" in seen(signed_in("viewer")).content.decode()


def test_an_empty_board_says_what_to_do(signed_in: SignedIn) -> None:
    assert "There is no device yet" in seen(signed_in("viewer")).content.decode()


def test_who_may_not_see_devices_is_refused(client: Client) -> None:
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(BOARD).status_code == 403


def test_the_board_costs_few_queries_however_many_devices(signed_in: SignedIn) -> None:
    client = signed_in("viewer")
    for _round in range(2):
        distribution.pool(5)
        distribution.assigned()
        with CaptureQueriesContext(connection) as queries:
            seen(client)
        assert len(queries) <= 12, "\n".join(one["sql"][:150] for one in queries)
