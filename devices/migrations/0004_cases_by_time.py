"""New cases are ordered by time. No database knows of it."""

import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0003_mirror_online"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="device",
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
