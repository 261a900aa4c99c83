"""What the post-processing stores in words: what an alert says, why a row moved."""

from __future__ import annotations

from orchestrator_site.sentences import gettext_noop

# --- Alerts -------------------------------------------------------------------------------------
COVERAGE = gettext_noop(
    "%(company)s: %(database)s per cent of the files are in the table,"
    " %(s3)s per cent in the bucket"
)
COVERAGE_DATABASE = gettext_noop("%(company)s: %(database)s per cent of the files are in the table")
REFUSED = gettext_noop(
    "%(company)s: %(records)d records refused, %(files)d files not uploaded in the last run"
)
RUN_FAILED = gettext_noop("%(company)s: the last run failed: %(why)s")
UPLOAD_LATE = gettext_noop("%(company)s: a file has been missing in the bucket for %(hours)d hours")
VERIFIED_LAST = gettext_noop("%(company)s was last verified %(hours)d hours ago")
NEVER_VERIFIED = gettext_noop(
    "%(company)s was never verified; its first run was %(hours)d hours ago"
)

# --- Files that are refused ---------------------------------------------------------------------
NO_REGULAR = gettext_noop("no regular file: a link, a folder, a pipe")
NAME_NOT_UTF_8 = gettext_noop("its name is not UTF-8: rename it")
NO_NAME = gettext_noop("not the name of a file of this folder")
NOT_THERE = gettext_noop("is not there")
CHANGES = gettext_noop("changes while it is read")
NOT_READ = gettext_noop("cannot be read: %(why)s")
TOO_LARGE = gettext_noop("is larger than %(limit)d bytes")
EMPTY = gettext_noop("is empty")
UTF_16 = gettext_noop("is in UTF-16. Save it as UTF-8.")
NOT_UTF_8 = gettext_noop(
    "is not UTF-8 (byte %(byte)s at %(place)d): Latin-1, perhaps. Save it as UTF-8."
)
NOT_JSON = gettext_noop("not JSON: %(why)s, line %(line)d, character %(column)d")
NO_JSON_CONSTANT = gettext_noop("%(constant)s is not JSON")
KEY_TWICE = gettext_noop("the key “%(key)s” is there twice in one object")
TOO_DEEP = gettext_noop("nested too deeply")
TOO_MANY_PARTS = gettext_noop("has more than %(limit)d parts")
TOO_MANY_RECORDS = gettext_noop("holds more than %(limit)d records")
NUMBER_TOO_LONG = gettext_noop("holds a number with too many digits")

# --- Records that are refused -------------------------------------------------------------------
NO_OBJECT = gettext_noop("not an object")
NOTHING_OF_COMPLAINT = gettext_noop("holds none of a complaint's fields")
NOT_STORABLE = gettext_noop("%(field)s holds a character that cannot be stored")
NOT_FINITE = gettext_noop("%(field)s holds a number that is too large")
FIELD_TOO_DEEP = gettext_noop("%(field)s is nested too deeply")
FIELD_TOO_LONG = gettext_noop("%(field)s is longer than %(limit)d characters")
NOT_WRITTEN = gettext_noop("the database refuses it: %(why)s")
NO_DATE = gettext_noop("%(field)s is no date, and was left empty: %(text)s")

# --- Complaints ---------------------------------------------------------------------------------
UPDATED_FROM = gettext_noop("updated from a newer extraction")

# --- Objects --------------------------------------------------------------------------------------
SENT_AGAIN = gettext_noop("to be sent: new content, or not there any more")
FOUND = gettext_noop("was in the bucket already, with this content")
SETTLED = gettext_noop("an upload that was cut short; the object is there")
NOT_IN_BUCKET = gettext_noop("is not in the bucket with this content")
FILE_GONE = gettext_noop("its upload was cut short, and the file is not there any more")
OVERWRITTEN = gettext_noop("the object of this key had other content, and was overwritten")
NAME_TOO_LONG = gettext_noop("its name is longer than %(limit)d characters")
UPLOAD_ENDED = gettext_noop("the upload was ended: %(why)s")

# --- Verifications ------------------------------------------------------------------------------
COMPARING_ROWS = gettext_noop("files and rows")
LISTING_OBJECTS = gettext_noop("listing objects")
COMPARING_OBJECTS = gettext_noop("files and objects")
OF_A_RECORD = gettext_noop("record %(number)d: %(reason)s")
RECORDS_MISSING = gettext_noop("%(count)d records are not in the table")
RECORDS_DIFFER = gettext_noop("%(count)d records are newer than their rows")
ROWS_LEFT = gettext_noop("%(count)d rows were loaded from it")
OTHER_SIZE = gettext_noop("the object has %(object)d bytes, the file %(file)d")
OTHER_CONTENT = gettext_noop("the object's MD5 is not the file's")
FILE_CHANGED = gettext_noop("the file has changed since it was uploaded")

# --- Runs ---------------------------------------------------------------------------------------
COMPANY_BUSY = gettext_noop("another run of the company is under way: this one waits for it")
NEVER_BEGUN = gettext_noop("it was not begun within a day: ask for it again")
PROCESS_DIED = gettext_noop("its process died")
ENDED_EARLY = gettext_noop("ended early; the next run goes on")
