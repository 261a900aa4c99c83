"""The database itself refuses to change an event."""

from django.db import migrations

SQLITE = """
CREATE TRIGGER event_never_changes BEFORE UPDATE ON orchestrator_site_event
BEGIN SELECT RAISE(ABORT, 'events never change'); END
"""
POSTGRESQL = """
CREATE FUNCTION event_never_changes() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'events never change'; END $$;
CREATE TRIGGER event_never_changes BEFORE UPDATE ON orchestrator_site_event
FOR EACH ROW EXECUTE FUNCTION event_never_changes();
"""


def forwards(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    schema_editor.execute(POSTGRESQL if vendor == "postgresql" else SQLITE, params=None)


def backwards(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION event_never_changes() CASCADE", params=None)
    else:
        schema_editor.execute("DROP TRIGGER event_never_changes", params=None)


class Migration(migrations.Migration):
    dependencies = [("orchestrator_site", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards)]
