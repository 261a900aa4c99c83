"""People whom staff moved to a generator."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("queues", "0008_jobs"),
    ]

    operations = [
        migrations.AddField(
            model_name="nbcrecord",
            name="wanted",
            field=models.CharField(
                blank=True,
                default="",
                help_text=(
                    "Staff moved the person to it: it takes no other one. Empty: any of them."
                ),
                max_length=32,
                verbose_name="generator wanted",
            ),
            preserve_default=False,
        ),
        migrations.AddIndex(
            model_name="nbcrecord",
            index=models.Index(
                condition=models.Q(("status", "pending"), models.Q(("wanted", ""), _negated=True)),
                fields=["wanted"],
                name="nbc_wanted",
            ),
        ),
    ]
