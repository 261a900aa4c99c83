"""The schedules of the post-processing. Made once: from then on they are staff's to edit."""

from datetime import datetime, timedelta

from croniter import croniter
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.utils import timezone

CLUSTER = "postprocessing"
CRON, HOURLY = "C", "H"
SCHEDULES = (
    ("PQR: extract, daily", "postprocessing.tasks.extract", CRON, "0 3 * * *"),
    ("PQR: process, working days", "postprocessing.tasks.process", CRON, "0 8-18/2 * * 1-5"),
    ("PQR: verify, hourly", "postprocessing.tasks.verify", HOURLY, None),
)


def make(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    schedules = apps.get_model("django_q", "Schedule")
    now = timezone.localtime()
    for name, function, kind, cron in SCHEDULES:
        schedules.objects.get_or_create(
            name=name,
            defaults={
                "func": function,
                "schedule_type": kind,
                "cron": cron,
                "cluster": CLUSTER,
                "repeats": -1,
                # Django-q2 reckons it only after a run.
                "next_run": croniter(cron, now).get_next(datetime)
                if cron
                else now + timedelta(hours=1),
            },
        )


class Migration(migrations.Migration):
    dependencies = [("postprocessing", "0002_schema"), ("django_q", "0018_task_success_index")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
