"""Settings, read top to bottom; the only reader of the environment.

Every setting has a default that works on a fresh machine. What production needs besides is told
by the system checks (`manage.py check --deploy`) and by `manage.py doctor`.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import environ
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from orchestrator_site.connections import parse_odbc, sql_server, sqlite

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")
ENVIRON = env.ENVIRON  # for child processes

# --- Where the embedded parts keep their files ------------------------------------------------
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)


def _embedded_secret(name: str) -> str:
    """A secret of this machine, made on first use, for whoever has configured none."""
    path = DATA_DIR / f"{name}.key"
    if not path.exists():
        staged = path.with_suffix(f".{secrets.token_hex(4)}")
        staged.touch(mode=0o600)
        staged.write_text(secrets.token_urlsafe(48))
        with suppress(FileExistsError):  # another process was first: its secret counts
            path.hardlink_to(staged)
        staged.unlink()
    return path.read_text().strip()


DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or _embedded_secret("secret")
SECRET_KEY_IS_EMBEDDED = not env.str("SECRET_KEY", default="")
# Of what the database keeps encrypted: the first encrypts, all of them read.
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[]) or [_embedded_secret("encryption")]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.import_export",
    "unfold.contrib.simple_history",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "import_export",
    "simple_history",
    "axes",
    "django_q",
    "orchestrator_site",
    "devices",
    "queues",
    "brain",
    "postprocessing",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "orchestrator_site.dashboard.live.LiveMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "orchestrator_site.row_security.RowSecurityMiddleware",
    "orchestrator_site.actors.ActorMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "orchestrator_site.urls"
WSGI_APPLICATION = "orchestrator_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "libraries": {"facts": "orchestrator_site.dashboard.case.tags"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Databases --------------------------------------------------------------------------------
ORIGIN_TIME_ZONE = env.str("ORIGIN_TIME_ZONE", default="Europe/Madrid")
DATABASES = {"default": sqlite(DATA_DIR / "db.sqlite3")}
if env.str("DATABASE_URL", default=""):
    DATABASES["default"] = {
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        **(_database := env.db("DATABASE_URL")),
        # A statement that comes again is parsed once a connection, and mostly planned once.
        "OPTIONS": {
            "server_side_binding": True,
            "prepare_threshold": 5,
            # Complaints live in a schema of their own; no two tables have the same name.
            "options": "-c search_path=public,data_general",
            **_database.get("OPTIONS", {}),
        },
    }
_sql_server = parse_odbc(env.str("SQLSERVER_CONNECTION_STRING", default=""))
if not _sql_server and env.str("SQLSERVER_SERVER", default=""):
    _sql_server = {
        "DRIVER": env.str("SQLSERVER_DRIVER", default=""),
        "SERVER": env.str("SQLSERVER_SERVER"),
        "DATABASE": env.str("SQLSERVER_DATABASE", default=""),
        "UID": env.str("SQLSERVER_USERNAME", default=""),
        "PWD": env.str("SQLSERVER_PASSWORD", default=""),
        "TRUSTED_CONNECTION": env.str("SQLSERVER_TRUSTED_CONNECTION", default=""),
    }
ORIGIN_IS_EMBEDDED = not _sql_server
ORIGIN_PATH = Path(env.str("ORIGIN_PATH", default=str(DATA_DIR / "origin.sqlite3")))
DATABASES["recursos"] = (
    sql_server(_sql_server, ORIGIN_TIME_ZONE)
    if _sql_server
    # mode=rw: a missing file is an unreachable origin, not an empty one made on the spot.
    else sqlite(ORIGIN_PATH, TIME_ZONE=ORIGIN_TIME_ZONE, TEST={"NAME": None})
    | {"NAME": f"file:{ORIGIN_PATH}?mode=rw"}
)
DATABASE_ROUTERS = ["brain.origin.OriginRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Cache, files, storage --------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
    }
    if REDIS_URL
    # A cache in memory would hide each cluster's state from the other processes.
    else {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": DATA_DIR / "cache",
    },
    # What a process counts for itself.
    "process": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    },
}
MEDIA_ROOT = DATA_DIR / "media"
MEDIA_URL = "/media/"
AWS_ACCESS_KEY_ID = env.str("AWS_ACCESS_KEY_ID", default="")
AWS_SECRET_ACCESS_KEY = env.str("AWS_SECRET_ACCESS_KEY", default="")
_s3 = {
    "access_key": AWS_ACCESS_KEY_ID,
    "secret_key": AWS_SECRET_ACCESS_KEY,
    "bucket_name": env.str("AWS_S3_BUCKET_NAME", default=""),
    "region_name": env.str("AWS_REGION", default="eu-south-2"),
    "endpoint_url": env.str("AWS_S3_ENDPOINT_URL", default="") or None,
    "querystring_expire": 300,
    "signature_version": "s3v4",  # else some regions and servers are asked the old way
}
S3_BASE_PATH = env.str("S3_BASE_PATH", default="oficina-virtual")  # of the complaints' objects
STORAGES = {
    # Evidence, attachments, authorisations.
    "default": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            **_s3,
            "location": env.str("S3_OWN_PATH", default="control-room"),
            "file_overwrite": False,
        },
    }
    if AWS_ACCESS_KEY_ID
    else {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # The complaints' files. Without credentials they are kept here, and said to be simulated.
    "pqr": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {**_s3, "file_overwrite": True},
    }
    if AWS_ACCESS_KEY_ID
    else {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": DATA_DIR / "objects"},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns of one that is not there
WHITENOISE_USE_FINDERS = True

# --- Language and time ------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("es", _("Spanish"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="Europe/Madrid")

# --- Who may come in --------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator")
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "orchestrator_site.api.errors.locked_out"
HTTPS = env.bool("HTTPS", default=False)
# The address of the proxy that speaks HTTPS for us: its X-Forwarded headers are believed.
TRUSTED_PROXY = env.str("TRUSTED_PROXY", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "orchestrator_site.api.access.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["orchestrator_site.api.access.RolePermission"],
    "DEFAULT_RENDERER_CLASSES": ["orchestrator_site.api.rendering.FastJSONRenderer"],
    "DEFAULT_FILTER_BACKENDS": ["orchestrator_site.api.filters.KnownFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "orchestrator_site.api.pagination.IdCursorPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["orchestrator_site.api.access.RequestThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "user": env.str("API_THROTTLE", default="1200/min"),
        # Registrations and logins of one address; API_THROTTLE is for those who are in.
        "entry": env.str("ENTRY_THROTTLE", default="10/min"),
    },
    "EXCEPTION_HANDLER": "orchestrator_site.api.errors.exception_handler",
    "PAGE_SIZE": 100,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Orchestrator API",
    "DESCRIPTION": "Everything that staff can do, for scripts.",
    "VERSION": "1",
    "ENUM_NAME_OVERRIDES": {
        "ClaimMethodEnum": "brain.models.Organismo.ClaimMethod",
        "ConnectionStatusEnum": "brain.models.ConnectedProvider.Status",
        "EvidenceKindEnum": "queues.models.EvidenceFile.Kind",
        "DeliveryStatusEnum": "queues.models.WebhookDelivery.Status",
        "JobStateEnum": "queues.api.jobs.STATES",
    },
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "orchestrator_site.api.schema.tell_errors",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
UNFOLD = {
    "SITE_TITLE": _("Control room"),
    "SITE_HEADER": _("Control room"),
    "SITE_SYMBOL": "hub",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("orchestrator/favicon.svg"),
        }
    ],
    "STYLES": [
        lambda request: static("orchestrator/room.css"),
        lambda request: static("orchestrator/case.css"),
    ],
    "DASHBOARD_CALLBACK": "orchestrator_site.dashboard.overview.context",
    "ENVIRONMENT": "orchestrator_site.dashboard.overview.environment",
    "SIDEBAR": {
        "show_search": True,
        "navigation": "orchestrator_site.dashboard.menu.navigation",
    },
}

# --- The overview -----------------------------------------------------------------------------
# A snapshot of the running state is good for so long, for all who look at it.
OVERVIEW_SECONDS = env.float("OVERVIEW_SECONDS", default=2.0)
# How long a key that reads is not looked up again; one that writes always is.
API_KEY_SECONDS = env.float("API_KEY_SECONDS", default=10.0)

# --- Alerts and metrics -----------------------------------------------------------------------
# Where people reach the control room, for links in e-mails.
SITE_URL = env.str("SITE_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")
ALERT_EMAILS = env.list("ALERT_EMAILS", default=[])
# Without a mail server, e-mails are written to the standard output.
_mail = env.email_url_config(env.str("EMAIL_URL", default="") or "consolemail://")
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = (_mail.get(f"EMAIL_USE_{name}", False) for name in ("TLS", "SSL"))
EMAIL_TIMEOUT = 10
# Told of each alert, in JSON with the `text` that chats show; signed where there is a secret
# (whsec_...). An https address on the public internet, or one in WEBHOOK_ALLOWED_NETWORKS.
ALERT_WEBHOOK_URL = env.str("ALERT_WEBHOOK_URL", default="")
ALERT_WEBHOOK_SECRET = env.str("ALERT_WEBHOOK_SECRET", default="")
# Asked for after each evaluation of the alerts, about once a minute: who waits for it there raises
# the alarm when nothing comes any more.
DEADMAN_URL = env.str("DEADMAN_URL", default="")
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="orchestrator@localhost")
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# --- The demo world ---------------------------------------------------------------------------
DEMO = env.bool("DEMO", default=ORIGIN_IS_EMBEDDED)
DEMO_WORLD_URL = env.str("DEMO_WORLD_URL", default="http://127.0.0.1:8001")

# --- The brain --------------------------------------------------------------------------------
BRAIN_SYNC_INTERVAL = timedelta(seconds=env.int("BRAIN_SYNC_INTERVAL", default=300))
BRAIN_MAX_CLAIMS = env.int("BRAIN_MAX_CLAIMS", default=50)
BRAIN_ENABLED_SITES = env.list("BRAIN_ENABLED_SITES", default=[])
BRAIN_PROOF_DELAYS = tuple(
    env.list("BRAIN_PROOF_DELAYS", cast=float, default=[0.5, 1.0, 2.0, 3.0, 5.0])
)
BOT_USERNAME = env.str("BOT_USERNAME", default="BOT_MULTIVIA")
XVIA_EMAIL = env.str("XVIA_EMAIL", default="bot@multivia.example" if DEMO else "")
XVIA_PASSWORD = env.str("XVIA_PASSWORD", default="") or (
    _embedded_secret("demo-intranet") if DEMO else ""
)

# Where attachments with the source "folder" are looked for.
ATTACHMENTS_DIR = Path(env.str("ATTACHMENTS_DIR", default="") or DATA_DIR / "attachments")

# --- Workers ----------------------------------------------------------------------------------
WORKER_ID = env.str("WORKER_ID", default=socket.gethostname())
TASK_RETRY_FACTOR = env.float("TASK_RETRY_FACTOR", default=1.0)  # stretches retries' delays
WORKER_SLOTS = env.int("WORKER_SLOTS", default=1)  # filing browsers on this host's cluster
TASK_LEASE = timedelta(seconds=env.int("TASK_LEASE_SECONDS", default=30))
TASK_DEADLINE = timedelta(seconds=env.int("TASK_DEADLINE_SECONDS", default=300))
BROWSER_EXECUTABLE = env.str("BROWSER_EXECUTABLE", default="")
BROWSER_HEADLESS = env.bool("BROWSER_HEADLESS", default=True)
PAGE_TIMEOUT = timedelta(seconds=env.int("PAGE_TIMEOUT_SECONDS", default=30))

# --- Scrapers ---------------------------------------------------------------------------------
# Where people may let the application call: whatever else they write is refused.
SCRAPER_ALLOWED_NETWORKS = tuple(
    ip_network(text.strip())
    for text in env.list(
        "SCRAPER_ALLOWED_NETWORKS", default=["127.0.0.0/8", "::1/128"] if DEMO else []
    )
)
SCRAPER_ALLOWED_HOSTS = [name.strip() for name in env.list("SCRAPER_ALLOWED_HOSTS", default=[])]
SCRAPER_IN_FLIGHT = env.int("SCRAPER_IN_FLIGHT", default=500)  # calls at once from one worker
# Whose midnight RETRY_AFTER_MIDNIGHT waits for.
IMSS_TIME_ZONE = env.str("IMSS_TIME_ZONE", default="America/Mexico_City")
SCRAPER_TIMEOUT = timedelta(seconds=env.int("SCRAPER_TIMEOUT_SECONDS", default=120))

# --- The control plane ------------------------------------------------------------------------
# What the first signing key is made of; workers hold the same. Later keys: `rotatesigningkey`.
SCRIPT_SIGNING_SECRET = env.str("SCRIPT_SIGNING_SECRET", default="") or _embedded_secret("signing")
# Of the sessions that users lend to their jobs; workers hold them too. The first encrypts.
SESSION_KEYS = env.list("SESSION_KEYS", default=[]) or [_embedded_secret("sessions")]
# What one host encrypts or signs, another must read.
EMBEDDED_SECRETS = [
    name
    for name in ("ENCRYPTION_KEYS", "SESSION_KEYS", "SCRIPT_SIGNING_SECRET")
    if not env.str(name, default="")
]
JOB_MOST_AGE = timedelta(hours=env.int("JOB_MOST_AGE_HOURS", default=24))  # of an envelope
JOB_DEADLINE = timedelta(seconds=env.int("JOB_DEADLINE_SECONDS", default=600))  # of a run
MOST_DOWNLOAD = env.int("MOST_DOWNLOAD_MB", default=200) * 10**6  # bytes that a run may take in
JOBS_AHEAD = env.int("JOBS_AHEAD", default=50)  # of an organisation, given to Redis at a time
# Besides the public internet: where flows' hosts may be. For sites on one's own network.
EGRESS_ALLOWED_NETWORKS = tuple(
    ip_network(text.strip())
    for text in env.list(
        "EGRESS_ALLOWED_NETWORKS", default=["127.0.0.0/8", "::1/128"] if DEMO else []
    )
)
# Webhooks go to https addresses on the public internet, and to these networks.
WEBHOOK_ALLOWED_NETWORKS = tuple(
    ip_network(text.strip())
    for text in env.list(
        "WEBHOOK_ALLOWED_NETWORKS", default=["127.0.0.0/8", "::1/128"] if DEMO else []
    )
)
WEBHOOK_KEEP = timedelta(days=env.int("WEBHOOK_KEEP_DAYS", default=30))  # messages that ended
REGISTRATION_IS_OPEN = env.bool("REGISTRATION_IS_OPEN", default=DEMO)
# A second wall between organisations, in the database itself. PostgreSQL, and a role that does
# not own the tables.
ROW_LEVEL_SECURITY = env.bool("ROW_LEVEL_SECURITY", default=False)

# --- Mongo: the mirror for programs that know nothing else ------------------------------------
MONGODB_URI = env.str("MONGODB_URI", default="")
MONGODB_DATABASES = {
    "mini": env.str("MONGODB_MINI_DATABASE", default="Mini_Base_Central"),
    "main": env.str("MONGODB_MAIN_DATABASE", default="Main_User"),
}
# Where tasks' log lines go, in the first of the two. Empty: nowhere.
MONGODB_LOG_COLLECTION = env.str("MONGODB_LOG_COLLECTION", default="")
MIRROR_POLL = timedelta(seconds=env.float("MIRROR_POLL_SECONDS", default=2.0))

# --- Post-processing --------------------------------------------------------------------------
# Extractors leave files in {company}/oficina_virtual/processed/.
DOWNLOADS_DIR = Path(env.str("DOWNLOADS_DIR", default="") or DATA_DIR / "downloads")
PQR_MAX_FILE_BYTES = env.int("PQR_MAX_FILE_BYTES", default=4 * 2**20)
PQR_UPLOADS_IN_FLIGHT = env.int("PQR_UPLOADS_IN_FLIGHT", default=16)
_PQR_DEMO = ("afinia", "aire")


def _pqr_site(name: str) -> dict[str, str]:
    """Where a company's complaints are extracted from: url, user, password. Without an address
    of its own it is the demo's, or nowhere."""
    known = {key: env.str(f"PQR_{name}_{key}".upper(), default="") for key in ("url", "user")}
    known["password"] = env.str(f"PQR_{name}_PASSWORD".upper(), default="")
    if DEMO and not known["url"] and name in _PQR_DEMO:
        return {
            "url": f"{DEMO_WORLD_URL}/oficina/{name}/",
            "user": "consulta@multivia.example",
            "password": _embedded_secret("demo-oficina"),
        }
    return known


# By company: those of the demo world, and whichever the environment names: PQR_{COMPANY}_URL.
_pqr_named = [
    key[4:-4].lower() for key in ENVIRON if key.startswith("PQR_") and key.endswith("_URL")
]
PQR_SITES = {name: _pqr_site(name) for name in (*_PQR_DEMO, *_pqr_named)}

# --- django-q2: it wakes and supervises, the truth is in our own tables -----------------------
LOOP_SESSION = timedelta(seconds=env.int("LOOP_SESSION_SECONDS", default=600))
# Longer than a session, its grace, and one piece of work begun at the end of it.
_q_timeout = int((LOOP_SESSION + max(TASK_DEADLINE, JOB_DEADLINE)).total_seconds()) + 180
Q_CLUSTER = {
    "name": env.str("Q_CLUSTER_BASE", default="orchestrator"),
    "workers": 2,
    "timeout": _q_timeout,
    "retry": _q_timeout * 3 + 60,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "catch_up": False,
    "queue_limit": 2,
    "bulk": 1,
    "poll": 1,
    "label": "django-q2",
    "ALT_CLUSTERS": {
        # More processes than sessions: for what staff ask for, for the ticks that find a lease
        # taken, and for the canary, which tells that the cluster works.
        name: {"workers": size, "timeout": _q_timeout, "retry": _q_timeout * 3 + 60}
        for name, size in {
            "brain": 5,
            "workers": 2 * WORKER_SLOTS + 3,
            "scrapers": 5 if MONGODB_URI else 4,
            "postprocessing": 2,
        }.items()
    },
} | ({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"})

# --- Logs -------------------------------------------------------------------------------------
_LOGS_IN_MONGO = bool(MONGODB_URI and MONGODB_LOG_COLLECTION)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "orchestrator_site.logs.Redact"}},
    "formatters": {
        "plain": {"format": "%(asctime)s %(levelname)-7s %(name)s %(message)s"},
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": env.str("LOG_FORMAT", default="plain"),
            "filters": ["redact"],
        },
        **({"mongo": {"class": "queues.mirror.logs.ToMongo"}} if _LOGS_IN_MONGO else {}),
    },
    "root": {
        "handlers": ["stderr", "mongo"] if _LOGS_IN_MONGO else ["stderr"],
        "level": env.str("LOG_LEVEL", default="INFO"),
    },
    "loggers": {
        "django.db.backends": {"level": "INFO"},
        "django-q": {"level": "WARNING"},
    },
}
