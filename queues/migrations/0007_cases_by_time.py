"""New cases are ordered by time. No database knows of it."""

import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("queues", "0006_labels"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="generator",
                    name="case_id",
                    field=models.UUIDField(
                        db_index=True,
                        default=uuid_utils.compat.uuid7,
                        editable=False,
                        verbose_name="case",
                    ),
                ),
                migrations.AlterField(
                    model_name="nbcrecord",
                    name="case_id",
                    field=models.UUIDField(
                        db_index=True,
                        default=uuid_utils.compat.uuid7,
                        editable=False,
                        verbose_name="case",
                    ),
                ),
                migrations.AlterField(
                    model_name="queueentry",
                    name="case_id",
                    field=models.UUIDField(
                        db_index=True,
                        default=uuid_utils.compat.uuid7,
                        editable=False,
                        verbose_name="case",
                    ),
                ),
                migrations.AlterField(
                    model_name="tramitetask",
                    name="case_id",
                    field=models.UUIDField(
                        db_index=True,
                        default=uuid_utils.compat.uuid7,
                        editable=False,
                        verbose_name="case",
                    ),
                ),
            ]
        )
    ]
