"""What the API shows and takes of the post-processing."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from postprocessing.models import (
    FIELDS,
    Complaint,
    Difference,
    PostProcessingRun,
    S3File,
    SourceFile,
    Verification,
    companies,
)
from postprocessing.reporting import COUNTS


def complaint_serializer(model: type[Complaint]) -> type[serializers.ModelSerializer[Any]]:
    """Under the names of the files. `fecha` and the other times are in UTC."""
    names = ("id", "case_id", *FIELDS, "extra", "hash_registro", "content_hash", "file_name")
    meta = type("Meta", (), {"model": model, "fields": (*names, "created_at", "updated_at")})
    name = f"{model.__name__}Serializer"
    return type(name, (serializers.ModelSerializer,), {"Meta": meta, "__module__": __name__})


class CompanySerializer(serializers.Serializer[Any]):
    company = serializers.ChoiceField([one.name for one in companies()])


class RunAskedSerializer(CompanySerializer):
    """`full`: every file is looked at again. `extract`: the complaints' site comes first, and a
    verification last."""

    extract = serializers.BooleanField(default=False)
    database_only = serializers.BooleanField(default=False)
    full = serializers.BooleanField(default=False)


class AcceptedSerializer(serializers.Serializer[Any]):
    """What was asked for begins within seconds, on the cluster."""

    status = serializers.CharField()


class RunSerializer(serializers.ModelSerializer[PostProcessingRun]):
    company = serializers.CharField(source="empresa", read_only=True)
    processing_time = serializers.FloatField(source="seconds", read_only=True)

    class Meta:
        model = PostProcessingRun
        fields = (
            "id",
            "case_id",
            "company",
            "status",
            "extract",
            "database_only",
            "full",
            "runner",
            "started_at",
            "finished_at",
            "processing_time",
            *COUNTS,
            "faults",
            "warnings",
            "error",
        )


class S3FileSerializer(serializers.ModelSerializer[S3File]):
    """Under the documents' names."""

    upload_status = serializers.CharField(source="status", read_only=True)

    class Meta:
        model = S3File
        fields = (
            "id",
            "case_id",
            "empresa",
            "filename",
            "s3_bucket",
            "s3_key",
            "s3_url",
            "numero_reclamo_sgc",
            "file_size",
            "file_type",
            "content_type",
            "upload_status",
            "upload_source",
            "file_hash",
            "metadata",
            "attempts",
            "last_error",
            "created_at",
            "updated_at",
            "uploaded_at",
        )


class SourceFileSerializer(serializers.ModelSerializer[SourceFile]):
    class Meta:
        model = SourceFile
        fields = (
            "id",
            "empresa",
            "filename",
            "size",
            "mtime_ns",
            "sha256",
            "records",
            "faults",
            "loaded_at",
        )


class VerificationSerializer(serializers.ModelSerializer[Verification]):
    """Coverage in per cent; null where there is nothing to be covered, or no bucket."""

    coverage_database = serializers.FloatField(read_only=True, allow_null=True)
    coverage_s3 = serializers.FloatField(read_only=True, allow_null=True)

    class Meta:
        model = Verification
        fields = (
            "id",
            "empresa",
            "at",
            "seconds",
            "is_simulated",
            "files",
            "json_files",
            "files_loaded",
            "rows",
            "objects_there",
            "objects_listed",
            "coverage_database",
            "coverage_s3",
            "found",
            "error",
        )


class DifferenceSerializer(serializers.ModelSerializer[Difference]):
    empresa = serializers.CharField(source="verification.empresa", read_only=True)
    repair = serializers.CharField(read_only=True)

    class Meta:
        model = Difference
        fields = (
            "id",
            "verification",
            "empresa",
            "kind",
            "filename",
            "s3_key",
            "detail",
            "repair",
            "repaired_at",
        )
