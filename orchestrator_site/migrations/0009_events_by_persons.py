"""Events by persons; maintenance windows between 2000 and 2100."""

import datetime
import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orchestrator_site", "0008_events_by_change"),
    ]

    operations = [
        migrations.AlterField(
            model_name="historicalmaintenancewindow",
            name="ends_at",
            field=models.DateTimeField(
                db_index=True,
                validators=[
                    django.core.validators.MinValueValidator(
                        datetime.datetime(2000, 1, 1, 0, 0, tzinfo=datetime.UTC)
                    ),
                    django.core.validators.MaxValueValidator(
                        datetime.datetime(2100, 1, 1, 0, 0, tzinfo=datetime.UTC)
                    ),
                ],
                verbose_name="until",
            ),
        ),
        migrations.AlterField(
            model_name="historicalmaintenancewindow",
            name="starts_at",
            field=models.DateTimeField(
                validators=[
                    django.core.validators.MinValueValidator(
                        datetime.datetime(2000, 1, 1, 0, 0, tzinfo=datetime.UTC)
                    ),
                    django.core.validators.MaxValueValidator(
                        datetime.datetime(2100, 1, 1, 0, 0, tzinfo=datetime.UTC)
                    ),
                ],
                verbose_name="from",
            ),
        ),
        migrations.AlterField(
            model_name="maintenancewindow",
            name="ends_at",
            field=models.DateTimeField(
                db_index=True,
                validators=[
                    django.core.validators.MinValueValidator(
                        datetime.datetime(2000, 1, 1, 0, 0, tzinfo=datetime.UTC)
                    ),
                    django.core.validators.MaxValueValidator(
                        datetime.datetime(2100, 1, 1, 0, 0, tzinfo=datetime.UTC)
                    ),
                ],
                verbose_name="until",
            ),
        ),
        migrations.AlterField(
            model_name="maintenancewindow",
            name="starts_at",
            field=models.DateTimeField(
                validators=[
                    django.core.validators.MinValueValidator(
                        datetime.datetime(2000, 1, 1, 0, 0, tzinfo=datetime.UTC)
                    ),
                    django.core.validators.MaxValueValidator(
                        datetime.datetime(2100, 1, 1, 0, 0, tzinfo=datetime.UTC)
                    ),
                ],
                verbose_name="from",
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("actor_kind__in", ("user", "api_key", "command"))),
                fields=["actor_kind", "-id"],
                name="event_by_persons",
            ),
        ),
    ]
