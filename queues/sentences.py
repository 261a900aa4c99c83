"""What the queues store in words: why something moved, how a task ended, what an alert says."""

from __future__ import annotations

from orchestrator_site.sentences import gettext_noop

# --- Leased tasks -------------------------------------------------------------------------------
TAKEN = gettext_noop("taken by %(worker)s")
LEASE_LOST = gettext_noop("lease lost by %(worker)s")
IRREVOCABLE_BEGUN = gettext_noop("irrevocable step begun")

# --- What workers do ----------------------------------------------------------------------------
EXECUTES = gettext_noop("executes")
STARTED = gettext_noop("started")

# --- Jobs ---------------------------------------------------------------------------------------
JOB_DONE = gettext_noop("done by %(worker)s")
WORKER_DIED = gettext_noop("worker %(worker)s died")
WORKER_UNKNOWN = gettext_noop("nobody knows of the job any more")
RETURNED = gettext_noop("given back by %(worker)s, which stops")
CANCEL_CONFIRMED = gettext_noop("ended by %(worker)s before its end")
CANCEL_UNANSWERED = gettext_noop("no worker confirmed the cancellation")
SESSION_LENT_AGAIN = gettext_noop("its session lives: lent to the workers again")
SESSION_RENEWED = gettext_noop("its session was renewed")
DEADLINE_OVER = gettext_noop("The job's deadline is over")
JOB_CANCEL_ASKED = gettext_noop("its worker is asked to end it")
ENVELOPES_REFUSED = gettext_noop("workers refused %(count)d envelopes within an hour: %(why)s")
JOBS_IN_DOUBT = gettext_noop("jobs in doubt: %(count)d")
JOB_WAITS = gettext_noop("a job has been due for %(minutes)d minutes")

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

# --- Documents of Mongo that cannot be taken in ---------------------------------------------------
DEVICE_TWICE = gettext_noop("another document is of the device %(name)s too")
UNKNOWN_STATUS = gettext_noop("unknown status: %(value)s")
STRANGE_ID = gettext_noop("its _id is no ObjectId, and no other text either: %(value)s")
UNDECODABLE = gettext_noop("it cannot be decoded: %(why)s")
IMSS_NO_OBJECT = gettext_noop("its imss is no object: %(value)s")
TOO_MANY_BYTES = gettext_noop("it has %(size)d bytes, and may have %(most)d")
CONDITION_NO_NUMBER = gettext_noop("the Condition is no whole number: %(value)s")
MESSAGE_NO_TEXT = gettext_noop("the Message is no text: %(value)s")
COMPLETE_WITHOUT = gettext_noop("Complete, with neither a Condition nor a success")
NO_SHORT_TEXT = gettext_noop("%(name)s is no text of at most %(most)d characters: %(value)s")
NO_COUNT = gettext_noop("%(name)s is no count: %(value)s")
NEITHER_TRUE_NOR_FALSE = gettext_noop("%(name)s is neither true nor false: %(value)s")
NOT_A_DATE = gettext_noop("%(name)s is no date: %(value)s")
OF_CURP = gettext_noop("curp: %(why)s")

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
OUT = gettext_noop("to Mongo")
IN = gettext_noop("from Mongo")
NOT_WRITTEN = gettext_noop("changes that could not be written to Mongo: %(count)d")
NOT_TAKEN_IN = gettext_noop("documents of Mongo that could not be taken in: %(count)d")
SCHEDULE_LATE = gettext_noop("%(name)s should have run %(minutes)d minutes ago")
APPEAL_WAITS = gettext_noop("an appeal has been due for %(minutes)d minutes")
PERSON_WAITS = gettext_noop("a person has been due for %(minutes)d minutes")
FAILED_OF = gettext_noop("%(failed)d of %(done)d of %(name)s failed within an hour")
WORKER_SILENT = gettext_noop("no worker of %(kind)s was heard on %(host)s for %(minutes)d minutes")
GENERATOR_SILENT = gettext_noop("%(name)s last reported %(minutes)d minutes ago")
DEVICES_STUCK = gettext_noop(
    "%(count)d devices of %(pool)s are held for more than %(minutes)d minutes"
)
FORSAKEN = gettext_noop(
    "%(name)s is worked from Mongo, and MONGODB_URI is not set: nobody works it"
)

# --- Webhooks -----------------------------------------------------------------------------------
WEBHOOK_OUTSIDE = gettext_noop(
    "webhooks go to https addresses on the public internet, by names that can be looked up"
)
WEBHOOK_ANSWERED = gettext_noop("answered with status %(status)d")
WEBHOOK_LATE = gettext_noop("no answer within %(seconds)d seconds")
WEBHOOK_NO_SECRET = gettext_noop("its secret cannot be read: a key of ENCRYPTION_KEYS is missing")
WEBHOOK_DISABLED = gettext_noop("the webhook is disabled")
WEBHOOK_GONE = gettext_noop("it answered with status 410: it wants no more messages")
WEBHOOK_FAILED_DAYS = gettext_noop("no message arrived for %(days)d days")
WEBHOOK_FAILED_CALLS = gettext_noop("%(count)d calls in a row failed, over a day or longer")
WEBHOOK_IS_DISABLED = gettext_noop("webhook %(url)s of %(name)s is disabled: %(why)s")
WEBHOOK_WAITS = gettext_noop("a message has been waiting to be sent for %(minutes)d minutes")

# --- Told at once where they arise, in the reader's language; the mirror stores them, in English --
gettext_noop("missing")
gettext_noop("must be a text")
gettext_noop("a CURP has %(length)d characters, this has %(count)d")
gettext_noop("a CURP has letters from A to Z and digits only")
gettext_noop("“%(part)s” (from character %(place)d) must be %(wanted)s")
gettext_noop("the check digit does not fit: a character is wrong")
gettext_noop("unknown condition: %(given)s")
gettext_noop("unknown error class: %(given)s")
gettext_noop("It holds a character or a number that cannot be stored.")
