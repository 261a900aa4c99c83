"""The case of a complaint, or of one file of a company: file, row, object, verification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from orchestrator_site.dashboard.case.facts import Link, Section, State, Table, row_link
from orchestrator_site.dashboard.case.hops import Hop, judged
from orchestrator_site.dashboard.case.told import Asked, StoredFile, Told
from orchestrator_site.sentences import told
from postprocessing import objects
from postprocessing.companies import Company
from postprocessing.models import Complaint, Difference, S3File, SourceFile, Verification
from postprocessing.models.complaint import models_of_all

SEE_FILES, SEE_OBJECTS = "postprocessing.view_sourcefile", "postprocessing.view_s3file"
SEE_VERIFICATIONS = "postprocessing.view_verification"
MOST = 100  # objects of one complaint
FAULTS = 10  # of its file
LABELS = {model._meta.label_lower: model for model in models_of_all()}
COLUMNS = (
    *("numero_radicado", "numero_reclamo_sgc", "fecha", "tipo_pqr", "estado_solicitud"),
    *("nombres_apellidos", "documento_identidad", "nic", "correo_electronico", "telefono"),
    *("celular", "canal_respuesta", "cuerpo_reclamacion", "comentarios", "documento_prueba"),
    *("adjuntar_archivo", "finalizar", "lectura", "sgc_number", "record_number", "page_url"),
    *("extraction_timestamp", "extra", "hash_registro", "content_hash", "file_name"),
    *("created_at", "updated_at"),
)


def tell(asked: Asked) -> Told:
    label = next(one for one in asked.keys if one in LABELS)
    row: Any = apps.get_model(label)._default_manager.get(pk=asked.keys[label][0])
    company, may = row.company, asked.may
    source = _source(company, row.file_name) if may(SEE_FILES) else None
    kept = _objects(company, row) if may(SEE_OBJECTS) else []
    last, difference = _verified(company, row.file_name) if may(SEE_VERIFICATIONS) else (None, None)
    return Told(
        kind="complaint",
        kind_title=_("Complaint"),
        title=f"{company.title} · {row}",
        state=None,
        waits=_waits(kept),
        hops=_hops(asked, row, source, kept, last, difference),
        sections=[
            _of_row(row),
            *_of_source(source),
            *_of_objects(kept),
            *_of_last(last, difference),
        ],
        rows=[row_link(row)],
        files=[_stored(one) for one in kept],
    )


def tell_file(asked: Asked) -> Told:
    """A file's own case: its object, and the complaint that it belongs to."""
    row = S3File.objects.get(pk=asked.keys["postprocessing.s3file"][0])
    return Told(
        kind="file",
        kind_title=_("S3 file"),
        title=f"{row.empresa} · {row.filename}",
        state=State.of(row),
        waits=_waits([row]),
        sections=_of_objects([row]),
        rows=[row_link(row), *_complaint_of(row, asked)],
        files=[_stored(row)],
    )


def _complaint_of(row: S3File, asked: Asked) -> list[Link]:
    model = next((one for one in models_of_all() if one.company.name == row.empresa), None)
    if model is None or not row.numero_reclamo_sgc:
        return []
    if not asked.may(f"postprocessing.view_{model._meta.model_name}"):
        return []
    rows: Any = model._default_manager.filter(numero_reclamo_sgc=row.numero_reclamo_sgc)
    cases = rows.values_list("case_id", "numero_radicado")[:1]
    return [
        Link(radicado or _("Complaint"), reverse("case", args=[case])) for case, radicado in cases
    ]


def _source(company: Company, filename: str) -> SourceFile | None:
    return SourceFile.objects.filter(empresa=company.name, filename=filename).first()


def _objects(company: Company, row: Complaint) -> list[S3File]:
    """Those of its file and, where it has an sgc, of that."""
    wanted = Q(filename=row.file_name)
    if row.numero_reclamo_sgc:
        wanted |= Q(numero_reclamo_sgc=row.numero_reclamo_sgc)
    return list(S3File.objects.filter(wanted, empresa=company.name).order_by("filename")[:MOST])


def _verified(company: Company, filename: str) -> tuple[Verification | None, Difference | None]:
    """The last verification, and what it found of the file."""
    last = Verification.objects.filter(empresa=company.name).order_by("-id").first()
    if last is None or not last.found:
        return last, None
    found = Difference.objects.filter(verification=last, filename=filename, repaired_at=None)
    return last, found.first()


# --- The way --------------------------------------------------------------------------------------


def _hops(
    asked: Asked,
    row: Complaint,
    source: SourceFile | None,
    kept: Sequence[S3File],
    last: Verification | None,
    difference: Difference | None,
) -> list[Hop]:
    extracted = row.extraction_timestamp
    hops = [
        Hop("extracted", _("Extracted"), bool(extracted), extracted, is_needed=False),
        *([_file(source)] if asked.may(SEE_FILES) else []),
        Hop("row", _("Row"), True, row.updated_at, row.hash_registro[:12]),
        *([_object(kept)] if asked.may(SEE_OBJECTS) else []),
        *([_checked(row, kept, last, difference)] if asked.may(SEE_VERIFICATIONS) else []),
    ]
    return judged(hops, is_over=False)


def _file(source: SourceFile | None) -> Hop:
    if source is None:
        return Hop("file", _("File"), is_broken=True)
    return Hop("file", _("File"), True, source.loaded_at, source.filename)


def _object(kept: Sequence[S3File]) -> Hop:
    there = [one for one in kept if one.status in (*S3File.THERE, S3File.Status.SIMULATED)]
    failed = any(one.status == S3File.Status.ERROR for one in kept)
    at = max((one.uploaded_at for one in there if one.uploaded_at), default=None)
    note = _("%(n)d of %(all)d files") % {"n": len(there), "all": len(kept)} if kept else ""
    is_done = bool(kept) and len(there) == len(kept)
    return Hop("object", _("Object"), is_done, at if is_done else None, note, is_broken=failed)


def _checked(
    row: Complaint,
    kept: Sequence[S3File],
    last: Verification | None,
    difference: Difference | None,
) -> Hop:
    """A verification counts once it came after the last change."""
    title = _("Verified")
    if difference is not None:
        return Hop("verified", title, note=difference.get_kind_display(), is_broken=True)
    changed = max([row.updated_at, *(one.updated_at for one in kept)])
    if last is None or last.error or last.at < changed:
        return Hop("verified", title, note=_("not since it last changed") if last else "")
    return Hop("verified", title, True, last.at)


def _waits(kept: Sequence[S3File]) -> str:
    failed = next((one for one in kept if one.status == S3File.Status.ERROR), None)
    if failed:
        names = {"file": failed.filename, "why": told(failed.last_error)}
        return _("%(file)s could not be uploaded: %(why)s") % names
    if any(one.status == S3File.Status.PENDING for one in kept):
        return _("Its file is still to be uploaded: the next run of its company does.")
    return ""


# --- The parts ------------------------------------------------------------------------------------


def _of_row(row: Complaint) -> Section:
    facts = {
        name: (str(row._meta.get_field(name).verbose_name), getattr(row, name))  # type: ignore[union-attr]
        for name in COLUMNS
    }
    return Section("row", _("Row"), facts)


def _of_source(source: SourceFile | None) -> list[Section]:
    if source is None:
        return []
    reasons = [told(str(one.get("reason", ""))) for one in source.faults if isinstance(one, dict)]
    facts: dict[str, tuple[str, Any]] = {
        "filename": (_("file"), row_link(source, source.filename)),
        "size": (_("bytes"), source.size),
        "sha256": ("SHA-256", source.sha256),
        "records": (_("records"), source.records),
        "loaded_at": (_("loaded"), source.loaded_at),
        "faults": (_("faults"), "; ".join(reasons[:FAULTS])),
    }
    return [Section("file", _("File"), facts)]


def _of_objects(kept: Sequence[S3File]) -> list[Section]:
    heads = {
        "file": _("file"),
        "status": _("upload status"),
        "key": "s3_key",
        "size": _("bytes"),
        "sha256": "SHA-256",
        "uploaded": _("uploaded"),
        "error": _("last error"),
    }
    rows = [
        {
            "file": row_link(one, one.filename),
            "status": State.of(one),
            "key": one.s3_key,
            "size": one.file_size,
            "sha256": one.file_hash,
            "uploaded": one.uploaded_at,
            "error": told(one.last_error),
        }
        for one in kept
    ]
    return [Section("objects", _("Objects"), {}, {"objects": Table(heads, rows)})]


def _of_last(last: Verification | None, difference: Difference | None) -> list[Section]:
    if last is None:
        return []
    facts: dict[str, tuple[str, Any]] = {
        "verification": (_("verification"), row_link(last, last)),
        "at": (_("at"), last.at),
        "difference": (_("difference"), difference.get_kind_display() if difference else ""),
        "detail": (_("detail"), told(difference.detail) if difference else ""),
    }
    return [Section("verification", _("Verification"), facts)]


def _stored(row: S3File) -> StoredFile:
    """Here where uploads are simulated; what lies in the bucket is fetched from there by whoever
    may."""
    is_here = row.status == S3File.Status.SIMULATED and objects.store().is_simulated
    return StoredFile(
        name=f"objects/{row.pk}-{row.filename}",
        path=row.s3_key,
        sha256=row.file_hash,
        size=row.file_size,
        kind="object",
        url=reverse("admin:postprocessing_s3file_download", args=[row.pk]),
        storage="pqr" if is_here else "",
        note="" if is_here else _("kept in the bucket: %(key)s") % {"key": row.s3_key},
    )
