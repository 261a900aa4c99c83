"""What devices store in words."""

from __future__ import annotations

from orchestrator_site.sentences import gettext_noop

HEARTBEAT = gettext_noop("heartbeat")
SILENT = gettext_noop("no heartbeat")
TRIAL_FAILED = gettext_noop("the trial failed: %(why)s")
FAILURES = gettext_noop("%(count)d failures in a row, the last: %(why)s")
