"""Serializers that are prepared tell what DRF's own would."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.serializers import ModelSerializer

from brain.api.serializers import TramiteTaskSerializer
from orchestrator_site.models import Event
from orchestrator_site.views import EventSerializer
from queues.api.jobs import JobSerializer
from queues.api.serializers import QueueEntrySerializer
from queues.models import QueueEntry
from tests.factories import JobFactory, NbcRecordFactory, TramiteTaskFactory

pytestmark = pytest.mark.django_db


def entry() -> QueueEntry:
    person = NbcRecordFactory()
    return QueueEntry.objects.create(
        generator_id="G_SISEC",
        nbc=person,
        curp=person.curp,
        rw_id="rw-1",
        device="D-1",
        status="Complete",
        success=True,
        condition=1,
        processed_at=timezone.now(),
    )


@pytest.mark.parametrize("zone", ["UTC", "America/Mexico_City"])
def test_a_prepared_serializer_tells_what_drf_would_tell(zone: str) -> None:
    Event.record([User.objects.create(username="ana")], "", "made", data={"é": [1, None]})
    kinds: dict[Any, Any] = {
        TramiteTaskSerializer: TramiteTaskFactory(started_at=timezone.now()),
        QueueEntrySerializer: entry(),
        JobSerializer: JobFactory(),
        EventSerializer: Event.objects.latest("pk"),
    }
    with timezone.override(zone):
        for serializer, row in kinds.items():
            row.refresh_from_db()
            ours = serializer(row)
            plain = ModelSerializer.to_representation(ours, row)
            assert dict(ours.data) == plain
            assert [type(value) for value in ours.data.values()] == [
                type(value) for value in plain.values()
            ]
