"""Events by what they changed to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orchestrator_site", "0006_control_room")]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["new", "-id"], name="event_new"),
        ),
    ]
