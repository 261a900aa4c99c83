"""A run that was asked for has its row from then on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postprocessing", "0003_schedules")]
    operations = [
        migrations.RemoveConstraint("postprocessingrun", "pqr_run_status_known"),
        migrations.AddField(
            "postprocessingrun",
            "extract",
            models.BooleanField(
                default=False, help_text="The complaints' site comes first.", verbose_name="extract"
            ),
        ),
        migrations.AlterField(
            "postprocessingrun",
            "status",
            models.CharField(
                choices=[
                    ("queued", "Queued"),
                    ("extracting", "Extracting"),
                    ("running", "Running"),
                    ("done", "Done"),
                    ("with_errors", "Done with errors"),
                    ("failed", "Failed"),
                    ("abandoned", "Abandoned: its process died"),
                ],
                default="running",
                max_length=12,
                verbose_name="status",
            ),
        ),
        migrations.AddConstraint(
            "postprocessingrun",
            models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        [
                            "queued",
                            "extracting",
                            "running",
                            "done",
                            "with_errors",
                            "failed",
                            "abandoned",
                        ],
                    )
                ),
                name="pqr_run_status_known",
            ),
        ),
    ]
