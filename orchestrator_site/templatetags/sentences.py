"""`{{ text|told }}`: a stored sentence in the reader's language."""

from __future__ import annotations

from django.template import Library

from orchestrator_site import sentences

register = Library()
register.filter("told", sentences.told)
