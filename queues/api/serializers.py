"""What the API shows and takes of devices, people, tasks and results."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from devices.models import Device
from orchestrator_site.api.serializing import Prepared
from queues import blockers, curp
from queues.api.fields import ObjectField
from queues.errors import ErrorClass
from queues.importing import HIGHEST_PRIORITY
from queues.models import NbcRecord, QueueEntry, RegistroWork
from queues.results import InvalidReport, Report

MESSAGE_LENGTH = 2000


class DeviceSerializer(serializers.ModelSerializer[Device]):
    class Meta:
        model = Device
        fields = (
            "id",
            "case_id",
            "fleet",
            "device",
            "device_name",
            "process",
            "instance",
            "online",
            "available",
            "current_task",
            "task_id",
            "task_start_time",
            "updated_at",
            "status",
            "status_reason",
            "heartbeat_at",
            "failures",
            "probe_at",
        )
        read_only_fields = (
            "case_id",
            "available",
            "current_task",
            "task_id",
            "task_start_time",
            "updated_at",
            "status",
            "status_reason",
        )


class HeartbeatSerializer(serializers.Serializer[Any]):
    """What a device says of itself."""

    online = serializers.BooleanField()


class NbcRecordSerializer(serializers.ModelSerializer[NbcRecord]):
    data = ObjectField(required=False)  # type: ignore[assignment]
    waits_for = serializers.SerializerMethodField()

    class Meta:
        model = NbcRecord
        fields = (
            "id",
            "case_id",
            "nbc_id",
            "curp",
            "data",
            "status",
            "priority",
            "available_at",
            "attempts",
            "rw_id",
            "waits_for",
            "blocker",
            "message",
            "result",
            "created_at",
            "updated_at",
        )
        read_only_fields = (
            "case_id",
            "status",
            "available_at",
            "attempts",
            "rw_id",
            "blocker",
            "message",
            "result",
            "created_at",
        )
        # One that is there already is a conflict, which the database tells, and no wrong value.
        extra_kwargs = {
            "nbc_id": {"validators": []},
            "priority": {"min_value": -HIGHEST_PRIORITY, "max_value": HIGHEST_PRIORITY},
        }

    def get_waits_for(self, row: NbcRecord) -> str:
        return blockers.of(row, timezone.now())

    def validate_curp(self, value: str) -> str:
        try:
            return curp.check(value)
        except curp.InvalidCurp as error:
            raise serializers.ValidationError(str(error)) from error

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["data"] = {**attrs.get("data", {}), "curp": attrs["curp"]}
        return attrs


class QueueEntrySerializer(Prepared):
    """Under the documents' names, where they have one."""

    nbc_id = serializers.CharField(source="nbc.nbc_id", read_only=True)
    taskid = serializers.IntegerField(read_only=True)
    waits_for = serializers.SerializerMethodField()
    generator = serializers.CharField(source="generator_id", read_only=True)

    class Meta:
        model = QueueEntry
        fields = (
            "document_id",
            "taskid",
            "case_id",
            "generator",
            "nbc_id",
            "curp",
            "task_data",
            "rw_id",
            "device",
            "device_name",
            "status",
            "waits_for",
            "success",
            "condition",
            "message",
            "error_class",
            "result",
            "endpoint",
            "priority",
            "attempts",
            "worker",
            "created_at",
            "started_at",
            "called_at",
            "answered_at",
            "result_due_at",
            "processed_at",
        )

    def get_waits_for(self, row: QueueEntry) -> str:
        return blockers.of_task(row, timezone.now())


class RegistroWorkSerializer(serializers.ModelSerializer[RegistroWork]):
    nbc_id = serializers.CharField(source="nbc.nbc_id", read_only=True)

    class Meta:
        model = RegistroWork
        fields = ("id", "rw_id", "nbc_id", "status", "condition", "message", "i_date", "f_date")


class ReportSerializer(serializers.Serializer[Any]):
    """A scraper's result: 1 found, 2 refer to the subdelegación, 3 ended otherwise, 4 error."""

    condition = serializers.ChoiceField(QueueEntry.Condition.choices)
    message = serializers.CharField(max_length=MESSAGE_LENGTH, allow_blank=True, default="")
    data = ObjectField(default=dict)  # type: ignore[assignment]
    error_class = serializers.ChoiceField(ErrorClass.choices, allow_blank=True, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            self.report = Report(**attrs)
        except InvalidReport as error:
            raise serializers.ValidationError(str(error)) from error
        return attrs


class TakenSerializer(serializers.Serializer[Any]):
    """`repeated`: this very result was taken in before, and nothing was changed."""

    status = serializers.ChoiceField(["settled", "repeated"])
    document_id = serializers.CharField()
    condition = serializers.IntegerField()
