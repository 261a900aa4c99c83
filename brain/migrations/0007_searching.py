"""What lists of claims, cycles and decisions are filtered and searched by."""

from django.db import migrations, models

# What people look a claimed case for by, besides its number. Only PostgreSQL finds the beginning
# of a text by an index, and only by one of this class.
IN_ROW = {"claim_name": "SujetoRecurso", "claim_plate": "matricula"}


def make(apps, editor):
    if editor.connection.vendor == "postgresql":
        for name, key in IN_ROW.items():
            editor.execute(
                f"CREATE INDEX {name} ON brain_claim (UPPER((before ->> '{key}')) text_pattern_ops)"
            )


def drop(apps, editor):
    if editor.connection.vendor == "postgresql":
        for name in IN_ROW:
            editor.execute(f"DROP INDEX {name}")


class Migration(migrations.Migration):
    dependencies = [("brain", "0006_history_actors")]

    operations = [
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(fields=["status", "-id"], name="claim_status"),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(fields=["method", "-id"], name="claim_method"),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(
                condition=models.Q(("queued_at", None)), fields=["-id"], name="claim_not_queued"
            ),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(
                fields=["expediente"], name="claim_expediente", opclasses=["varchar_pattern_ops"]
            ),
        ),
        migrations.AddIndex(
            model_name="cycle",
            index=models.Index(fields=["outcome", "-id"], name="cycle_outcome"),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(fields=["device", "-id"], name="decision_device"),
        ),
        migrations.RunPython(make, drop),
    ]
