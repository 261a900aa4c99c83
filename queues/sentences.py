"""What the queues store in words: why something moved, how a task ended, what an alert says."""

from __future__ import annotations

from orchestrator_site.sentences import gettext_noop

# --- Leased tasks -------------------------------------------------------------------------------
TAKEN = gettext_noop("taken by %(worker)s")
LEASE_LOST = gettext_noop("lease lost by %(worker)s")
IRREVOCABLE_BEGUN = gettext_noop("irrevocable step begun")

EXECUTES = gettext_noop("executes")
STARTED = gettext_noop("started")

# --- Appeals ------------------------------------------------------------------------------------
FILED = gettext_noop("filed")
LATE_OUTCOME = gettext_noop("late worker's outcome")
EVIDENCE_NOT_KEPT = gettext_noop("the evidence could not be kept: %(error)s")
ATTACHMENT_MISSING = gettext_noop("attachment %(name)s is missing")
ATTACHMENT_CHANGED = gettext_noop("attachment %(name)s has changed")

# --- Calls to scrapers --------------------------------------------------------------------------
ACCEPTED = gettext_noop("accepted by the scraper")
BUSY = gettext_noop("the scraper is busy")
CALLS = gettext_noop("%(count)d calls")
WORKER_LEFT = gettext_noop("the worker ended while the scraper was being called")
UNANSWERED = gettext_noop("nobody knows whether the scraper has it: %(error)s")
NO_ENDPOINT = gettext_noop("No endpoint can be asked now.")

# --- Ends of people's tasks ---------------------------------------------------------------------
NO_RESULT = gettext_noop("no result by its deadline")
STALE = gettext_noop("stale: the person's window is over")
ENDED_WELL = gettext_noop("task %(id)d ended well")
STUCK = gettext_noop("stuck: held for more than %(minutes)d minutes")
LATE_RESULT = gettext_noop("late result refused")

# --- People and generators ----------------------------------------------------------------------
MIDNIGHT_OVER = gettext_noop("midnight is over")
IMPORTED = gettext_noop("imported from %(source)s")
CREATED_BY_API = gettext_noop("created over the API")
REPORTS_AGAIN = gettext_noop("reports again")
NONE_TO_ASK = gettext_noop("no endpoint can be asked: none is enabled, or none answers")

# --- The mirror ---------------------------------------------------------------------------------
TAKEN_OVER = gettext_noop("taken over from %(source)s")
FOUND_IN_MONGO = gettext_noop("found in Mongo")
FLAG_IN_MONGO = gettext_noop("its flag in Mongo")
DOCUMENT_IN_MONGO = gettext_noop("its document in Mongo")
TAKEN_IN_MONGO = gettext_noop("taken by a worker in Mongo")

# --- Alerts -------------------------------------------------------------------------------------
POOL_UNAVAILABLE = gettext_noop("no device of %(name)s could be taken for %(minutes)d minutes")
SUCCESS_RATE = gettext_noop("%(well)d of %(done)d tasks of %(name)s ended well in %(hours)d hours")
PEOPLE_WAIT = gettext_noop("%(count)d people wait to be assigned")
GENERATOR_FAILS = gettext_noop("%(name)s fails: %(why)s")
QUARANTINED = gettext_noop("%(device)s is in quarantine: %(why)s")
NOT_TOLD = gettext_noop("Mongo has not been told of a change for %(seconds)d seconds")
NOT_TOLD_WHY = gettext_noop("Mongo has not been told of a change for %(seconds)d seconds: %(why)s")
NOT_READ = gettext_noop("Mongo was not read for %(seconds)d seconds")
NOT_READ_WHY = gettext_noop("Mongo was not read for %(seconds)d seconds: %(why)s")
NOT_WRITTEN = gettext_noop("%(count)d changes could not be written to Mongo")
NOT_TAKEN_IN = gettext_noop("%(count)d documents of Mongo could not be taken in")
SCHEDULE_LATE = gettext_noop("%(name)s should have run %(minutes)d minutes ago")
FORSAKEN = gettext_noop(
    "%(name)s is worked from Mongo, and MONGODB_URI is not set: nobody works it"
)
