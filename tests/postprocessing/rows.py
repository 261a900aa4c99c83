"""Rows of the post-processing as its parts would have written them. All in them is invented."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from postprocessing.models import (
    Complaint,
    Difference,
    OvAfinia,
    OvAire,
    PostProcessingRun,
    S3File,
    SourceFile,
    Verification,
)

_number = count(1)
RUN = PostProcessingRun.Status


def complaint(model: type[Complaint] = OvAfinia, **values: Any) -> Any:
    number = next(_number)
    return model._default_manager.create(
        **{
            "numero_radicado": f"RE{number:08d}",
            "numero_reclamo_sgc": f"{number}",
            "nic": f"{7000 + number}",
            "nombres_apellidos": "Ana Inventada",
            "estado_solicitud": "En trámite",
            "hash_registro": f"{number:064d}",
            "content_hash": f"{number:064d}",
            "file_name": f"{number}_data_20260301_080000.json",
            **values,
        }
    )


def run(company: str = "afinia", **values: Any) -> PostProcessingRun:
    """One that has ended."""
    values.setdefault("status", RUN.DONE)
    values.setdefault("finished_at", values.get("started_at", timezone.now()))
    return PostProcessingRun.objects.create(empresa=company, **values)


def s3_file(company: str = "afinia", **values: Any) -> S3File:
    number = next(_number)
    name = values.setdefault("filename", f"{number}_documento.pdf")
    return S3File.objects.create(
        **{
            "empresa": company,
            "s3_key": f"oficina-virtual/{company}/2026/03/01/{number}/{name}",
            "numero_reclamo_sgc": f"{number}",
            "file_size": 3,
            "content_type": "application/pdf",
            "file_hash": f"{number:064d}",
            "mtime_ns": 1_772_000_000_000_000_000,
            **values,
        }
    )


def source_file(company: str = "afinia", **values: Any) -> SourceFile:
    number = next(_number)
    return SourceFile.objects.create(
        **{
            "empresa": company,
            "filename": f"{number}_data_20260301_080000.json",
            "size": 2500,
            "mtime_ns": 1_772_000_000_000_000_000,
            "records": 1,
            "loaded_at": timezone.now(),
            **values,
        }
    )


def verification(
    company: str = "afinia", differing: dict[str, int] | None = None, **values: Any
) -> Verification:
    """Of a hundred files, of which all are there unless told otherwise; `differing`: how many
    differences of which kind."""
    there = dict.fromkeys(("files", "json_files", "files_loaded", "objects_there"), 100)
    row = Verification.objects.create(
        empresa=company, **{**there, "found": differing or {}, **values}
    )
    for kind, number in (differing or {}).items():
        for one in range(number):
            row.differences.create(kind=kind, filename=f"{kind}_{one}.json", detail="a detail")
    return row


def of_every_kind(text: str) -> None:
    """Of each model, of every status where it has one, with a text that somebody from outside
    may have written."""
    fault = {"file": text, "record": 1, "reason": text}
    source_file(faults=[fault], filename=f"{text}.json")
    complaint(nombres_apellidos=text, estado_solicitud=text, tipo_pqr=text)
    complaint(OvAire, numero_radicado=None, extra={"a": text}, file_name=f"{text}.json")
    for number, status in enumerate(RUN):
        values = {"faults": [fault], "warnings": [fault], "db_errors": 9, "error": text}
        run("aire" if number % 2 else "afinia", status=status, **values)
    for status in S3File.Status:
        s3_file(status=status, filename=f"{status}-{text}", last_error=text)
    verification(error=text, differing={"not_loaded": 1, "stray_object": 1})
    verification("aire", is_simulated=True, at=timezone.now() - timedelta(days=1))
    Difference.objects.update(detail=text, filename=text)
