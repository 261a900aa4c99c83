"""The kinds of task that have a queue page, by the word in its address."""

from __future__ import annotations

from orchestrator_site.dashboard.queues.appeals import Appeals
from orchestrator_site.dashboard.queues.jobs import Jobs
from orchestrator_site.dashboard.queues.kinds import Kind
from orchestrator_site.dashboard.queues.lookups import Lookups

KINDS: dict[str, Kind] = {one.name: one for one in (Appeals(), Lookups(), Jobs())}
