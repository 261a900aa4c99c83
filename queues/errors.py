"""Why work fails: the classes of error that decide on retries."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ErrorClass(models.TextChoices):
    BUSINESS = "business", _("Business: the site said no")
    SITE = "site", _("Site: page changed or down")
    SESSION = "session", _("Session: logged out")
    DEVICE = "device", _("Device")
    BUSY = "busy", _("Busy")
    TIMEOUT = "timeout", _("Time-out")
    PAYLOAD = "payload", _("Payload")
    INFRASTRUCTURE = "infrastructure", _("Infrastructure")
