"""The queues in the admin, and the devices, whose verbs end tasks."""

from queues.admin import devices, distribution, evidence

__all__ = ["devices", "distribution", "evidence"]
