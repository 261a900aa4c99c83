"""What the brain stores in words: why a claim, a task or a batch stands where it stands."""

from __future__ import annotations

from orchestrator_site.sentences import gettext_noop

# --- Claims -------------------------------------------------------------------------------------
CLAIMING = gettext_noop("claiming by %(method)s")
FOUND_OURS = gettext_noop("found as ours")
NEVER_SHOWN = gettext_noop("the read-back never showed it as ours")
WITH_ANOTHER = gettext_noop("it is with %(who)s")
NOBODY = gettext_noop("nobody")
WITHOUT_TASK = gettext_noop("the origin shows it as ours, and there was no task")
BRAIN_DIED = gettext_noop("its brain died before it was decided")
NUMBER_REPAIRED = gettext_noop("case number repaired")
UNPROVABLE = gettext_noop(
    "None of the last %(n)s claims could be proven: check “claimed when”, then resume."
)
QUEUED = gettext_noop("queued")
MISSING = gettext_noop("missing: %(names)s")

# --- Batches of people --------------------------------------------------------------------------
BATCH = gettext_noop("batch %(number)d")
FULL = gettext_noop("full")
TIME_OVER = gettext_noop("time")
RULES_CHANGED = gettext_noop("shares, thresholds or generators were changed")
AT_FIRST = gettext_noop("as they were at first")

# --- Pauses ------------------------------------------------------------------------------------
ON_OVERVIEW = gettext_noop("on the overview")
ON_DASHBOARD = gettext_noop("on the dashboard of distribution")

# --- Organisations' flows -----------------------------------------------------------------------
APPROVED = gettext_noop("approved")
REFUSED = gettext_noop("refused")
SIGNED_ANEW = gettext_noop("flows and tasks signed anew")
KEY_REVOKED = gettext_noop("The signing key %(id)s was revoked.")

# --- Sessions -----------------------------------------------------------------------------------
CONNECTED = gettext_noop("connected")
RENEWED = gettext_noop("renewed")
LEFT = gettext_noop("its user left the organisation")
SESSION_OVER = gettext_noop("its time is over")
SESSION_LOST = gettext_noop("a job found itself signed out")
PROBE_DEAD = gettext_noop("the probe found it signed out")
PROBE_STATUS = gettext_noop("the probe was answered with status %(status)d")
PROBE_TEXT_MISSING = gettext_noop("the probe's page lacks the text of a living session")
PROBE_REDIRECTED = gettext_noop("the probe was sent elsewhere: %(where)s")
PROBE_FAILED = gettext_noop("the probe failed: %(error)s")
SESSION_UNREADABLE = gettext_noop("no key of SESSION_KEYS reads it")
PROBES_FAIL = gettext_noop("%(count)d sessions could not be probed")
SESSIONS_DEAD = gettext_noop("%(jobs)d jobs wait for the session of %(user)s at %(provider)s")
CLAIMS_UNPROVEN = gettext_noop("%(count)d claims of %(site)s could not be proven: look at each")
FLOWS_REFUSED = gettext_noop("%(count)d runs were refused: %(why)s")

# --- The mirror ---------------------------------------------------------------------------------
EDITED_IN_MONGO = gettext_noop("edited in Mongo")

# --- Told at once where they arise, in the reader's language; loops store them, in English -------
gettext_noop("claimed again and again, unproven")
gettext_noop("given back or taken over before: claimresource takes it again")
gettext_noop("a task exists: only a person reruns it")
gettext_noop("A task exists for this case already.")
gettext_noop("The flow “%(flow)s” of %(site)s has no active version.")
gettext_noop(
    "The flow “%(flow)s” of %(site)s must mark the step that sends (irrevocable) "
    "and the one that shows it was received (confirms)."
)
gettext_noop("The flow “%(flow)s” of %(site)s is not as it was signed: %(error)s.")
gettext_noop("The flow “%(name)s” has no active version.")
gettext_noop("The authorisation of client %(client)s expired on %(date)s.")
gettext_noop("Client %(client)s has no authorisation on file.")
gettext_noop("The case has no number (Expedient). Write it in the origin.")
gettext_noop("The number “%(number)s” is longer than 300. Correct it in the origin.")
gettext_noop(
    "The number “%(number)s” is not of the format %(format)s, but “%(repaired)s” is."
    " Correct it in the origin, or turn on the organismo's repair."
)
gettext_noop(
    "The number “%(number)s” is not of the format %(format)s."
    " Correct it in the origin, or the format of the organismo."
)
gettext_noop("The case lacks %(names)s. Fill that in in the origin.")
gettext_noop("No motivo fits the phase “%(phase)s”. Add one for it.")
gettext_noop("no account name on the home page")
gettext_noop("the login page's token was refused")
gettext_noop("the intranet refused our e-mail and password")
gettext_noop("the login page again, right after logging in")
gettext_noop("the answer came too slowly")
