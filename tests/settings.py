"""The project's settings in a folder of their own, made anew for each test process."""

import os
import tempfile
from pathlib import Path

_folder = Path(tempfile.mkdtemp(prefix="orchestrator-tests-"))
# What the machine has configured is none of the tests' business.
for _name in (
    *("AWS_ACCESS_KEY_ID", "SQLSERVER_SERVER", "SQLSERVER_CONNECTION_STRING"),
    *("REDIS_URL", "MONGODB_URI", "PQR_AFINIA_URL", "PQR_AIRE_URL"),
):
    os.environ[_name] = ""
os.environ["DATA_DIR"] = str(_folder)
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "")
os.environ["BRAIN_PROOF_DELAYS"] = "0,0.01,0.02,0.03,0.05"
os.environ["LOG_LEVEL"] = "WARNING"

from orchestrator_site.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
TASK_RETRY_FACTOR = 0.0
AXES_ENABLED = False
OVERVIEW_SECONDS = 0.0  # each look is at the rows as they are
API_KEY_SECONDS = 0.0
# Each test's client starts the middleware anew: it need not look through every static file.
WHITENOISE_AUTOREFRESH = True
DATABASES["recursos"]["TEST"] = {"NAME": str(_folder / "origin.sqlite3"), "MIGRATE": False}  # noqa: F405
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, as in production: threads and processes lock it the same way.
    DATABASES["default"]["TEST"] = {"NAME": str(_folder / "test.sqlite3")}  # noqa: F405
