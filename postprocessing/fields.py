"""What a record of a file holds. Pure: whoever reads files need know no model."""

from __future__ import annotations

RADICADO_LENGTH = 100
# What a record of a file holds, under the names that it has there. Missing: "".
FIELDS = (
    "record_number",
    "sgc_number",
    "extraction_timestamp",
    "page_url",
    "page_title",
    "nic",
    "fecha",
    "documento_identidad",
    "nombres_apellidos",
    "lectura",
    "correo_electronico",
    "telefono",
    "celular",
    "tipo_pqr",
    "canal_respuesta",
    "documento_prueba",
    "cuerpo_reclamacion",
    "numero_radicado",
    "estado_solicitud",
    "finalizar",
    "adjuntar_archivo",
    "numero_reclamo_sgc",
    "comentarios",
)
