"""On PostgreSQL the tables live where the reports that read them look: in `data_general`."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

TABLES = ("ov_afinia", "ov_aire", "s3_files_registry")


def into_data_general(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("CREATE SCHEMA IF NOT EXISTS data_general")
        for table in TABLES:
            schema_editor.execute(f"ALTER TABLE {table} SET SCHEMA data_general")


def into_public(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table in TABLES:
            schema_editor.execute(f"ALTER TABLE data_general.{table} SET SCHEMA public")


class Migration(migrations.Migration):
    dependencies = [("postprocessing", "0001_initial")]
    operations = [migrations.RunPython(into_data_general, into_public)]
