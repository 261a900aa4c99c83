"""Lists that have no end are searched and filtered by indexes."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models.functions import Left

TABLES = ("ov_afinia", "ov_aire")


def index_names(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """How names begin, whatever their case. SQLite would not use it."""
    if schema_editor.connection.vendor != "postgresql":
        return
    for table in TABLES:
        begins = "(upper(left(nombres_apellidos, 100)) text_pattern_ops)"
        schema_editor.execute(f"CREATE INDEX {table}_nombre ON {table} {begins}")


def forget_names(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table in TABLES:
            schema_editor.execute(f"DROP INDEX {table}_nombre")


class Migration(migrations.Migration):
    dependencies = [("postprocessing", "0004_run_queued")]
    operations = [
        migrations.RemoveIndex("s3file", "s3_file_status"),
        migrations.AddIndex("ovafinia", models.Index(Left("nic", 100), name="ovafinia_nic")),
        migrations.AddIndex(
            "ovafinia", models.Index(Left("documento_identidad", 100), name="ovafinia_documento")
        ),
        migrations.AddIndex(
            "ovafinia", models.Index(Left("estado_solicitud", 100), name="ovafinia_estado")
        ),
        migrations.AddIndex("ovafinia", models.Index(Left("tipo_pqr", 100), name="ovafinia_tipo")),
        migrations.AddIndex("ovaire", models.Index(Left("nic", 100), name="ovaire_nic")),
        migrations.AddIndex(
            "ovaire", models.Index(Left("documento_identidad", 100), name="ovaire_documento")
        ),
        migrations.AddIndex(
            "ovaire", models.Index(Left("estado_solicitud", 100), name="ovaire_estado")
        ),
        migrations.AddIndex("ovaire", models.Index(Left("tipo_pqr", 100), name="ovaire_tipo")),
        migrations.AddIndex(
            "s3file", models.Index(fields=["status", "empresa"], name="s3_file_by_status")
        ),
        migrations.AddIndex(
            "s3file",
            models.Index(
                fields=["filename"], opclasses=["varchar_pattern_ops"], name="s3_file_name"
            ),
        ),
        migrations.AddIndex(
            "s3file",
            models.Index(
                fields=["upload_source"],
                condition=~models.Q(upload_source="bot"),
                name="s3_file_source",
            ),
        ),
        migrations.AddIndex(
            "sourcefile",
            models.Index(
                fields=["filename"], opclasses=["varchar_pattern_ops"], name="source_file_name"
            ),
        ),
        migrations.AddIndex(
            "sourcefile",
            models.Index(
                fields=["empresa", "-id"], condition=~models.Q(faults=[]), name="source_file_faults"
            ),
        ),
        migrations.AddIndex(
            "s3file", models.Index(fields=["empresa", "-id"], name="s3_file_latest")
        ),
        migrations.AddIndex(
            "sourcefile", models.Index(fields=["empresa", "-id"], name="source_file_latest")
        ),
        migrations.AddIndex(
            "difference",
            models.Index(
                fields=["-verification", "kind", "id"],
                condition=models.Q(repaired_at__isnull=False),
                name="difference_repaired",
            ),
        ),
        migrations.AddIndex(
            "difference",
            models.Index(fields=["-verification", "kind", "id"], name="difference_listed"),
        ),
        migrations.AddIndex(
            "difference",
            models.Index(
                fields=["filename"], opclasses=["varchar_pattern_ops"], name="difference_file"
            ),
        ),
        migrations.AddIndex(
            "difference",
            models.Index(
                fields=["s3_key"], opclasses=["varchar_pattern_ops"], name="difference_key"
            ),
        ),
        migrations.RunPython(index_names, forget_names),
    ]
