"""The project's settings with django-q2 tuned for speed, as its own user would run it."""

from orchestrator_site.settings import *  # noqa: F403

Q_CLUSTER = {
    "name": "peer",
    "workers": 2,
    "timeout": 60,
    "retry": 600,
    "save_limit": -1,  # successes are not stored, which costs most
    "ack_failures": True,
    "max_attempts": 1,
    "queue_limit": 100,
    "bulk": 50,
    "poll": 0.2,
    "catch_up": False,
    "orm": "default",
}
