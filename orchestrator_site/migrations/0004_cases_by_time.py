"""New cases are ordered by time. No database knows of it."""

import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orchestrator_site", "0003_alerts"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="alert",
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
