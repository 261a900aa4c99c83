"""What long lists are filtered and searched by."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("queues", "0009_generator_wanted")]

    operations = [
        migrations.AddIndex(
            model_name="evidencefile",
            index=models.Index(fields=["kind", "id"], name="evidence_kind"),
        ),
        migrations.AddIndex(
            model_name="evidencefile",
            index=models.Index(fields=["sha256"], name="evidence_sha256"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["provider_name", "-id"], name="job_of_provider"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["flow_name", "-id"], name="job_of_flow"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("worker", ""), _negated=True),
                fields=["worker", "-id"],
                name="job_of_worker",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("status__in", ["held", "in_doubt", "error", "cancelled"])),
                fields=["status", "-id"],
                name="job_not_done",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("error_class", ""), _negated=True),
                fields=["error_class", "-id"],
                name="job_error",
            ),
        ),
        migrations.AddIndex(
            model_name="queueentry",
            index=models.Index(
                condition=models.Q(("processed_at__isnull", False)),
                fields=["processed_at"],
                name="imss_processed",
            ),
        ),
        migrations.AddIndex(
            model_name="queueentry",
            index=models.Index(
                condition=models.Q(("condition__isnull", False)),
                fields=["condition", "-id"],
                name="imss_condition",
            ),
        ),
        migrations.AddIndex(
            model_name="queueentry",
            index=models.Index(
                condition=models.Q(("success", False)), fields=["-id"], name="imss_unsuccessful"
            ),
        ),
        migrations.AddIndex(
            model_name="queueentry",
            index=models.Index(
                condition=models.Q(("error_class", ""), _negated=True),
                fields=["error_class", "-id"],
                name="imss_error",
            ),
        ),
        migrations.AddIndex(
            model_name="registrowork",
            index=models.Index(
                condition=models.Q(("f_date", None)), fields=["-id"], name="work_open"
            ),
        ),
        migrations.AddIndex(
            model_name="registrowork",
            index=models.Index(
                condition=models.Q(("condition__isnull", False)),
                fields=["condition", "-id"],
                name="work_condition",
            ),
        ),
        migrations.AddIndex(
            model_name="tramitetask",
            index=models.Index(
                condition=models.Q(("error_class", ""), _negated=True),
                fields=["error_class", "-id"],
                name="tramite_error",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookattempt",
            index=models.Index(fields=["at"], name="webhook_call_at"),
        ),
        migrations.AddIndex(
            model_name="webhookattempt",
            index=models.Index(fields=["status_code", "-id"], name="webhook_call_status"),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("status__in", ["sending", "failed", "cancelled"])),
                fields=["status", "-id"],
                name="webhook_undelivered",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["event", "-id"], name="webhook_event"),
        ),
    ]
