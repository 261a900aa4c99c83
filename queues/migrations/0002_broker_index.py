"""The ORM broker asks for (key, lock) with each poll, and django-q2 has no index for it."""

from django.db import migrations

NAME = "queues_broker_key_lock"


def forwards(apps, schema_editor):
    schema_editor.execute(f"CREATE INDEX {NAME} ON django_q_ormq (key, lock)", params=None)


def backwards(apps, schema_editor):
    schema_editor.execute(f"DROP INDEX {NAME}", params=None)


class Migration(migrations.Migration):
    dependencies = [
        ("queues", "0001_initial"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]
    operations = [migrations.RunPython(forwards, backwards)]
