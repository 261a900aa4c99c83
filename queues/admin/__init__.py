"""The queues in the admin, and the devices, whose verbs end tasks."""

from queues.admin import devices, distribution, evidence, jobs, mirror, webhooks

__all__ = ["devices", "distribution", "evidence", "jobs", "mirror", "webhooks"]
