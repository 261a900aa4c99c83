"""What queues is handed from above when the application starts, since it imports no upper layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from queues.browser.signing import Keyring

if TYPE_CHECKING:
    from queues.models import Job


def _nobody(*_: object) -> None:
    raise LookupError("nothing was registered: brain/apps.py does it when it is ready")


@dataclass
class Registered:
    """`keyring`: the keys of now. `session`: the encrypted token of the session that a job runs
    with, "" where there is none. `lend_session`: put it where the job's worker looks for it, for
    as long as it lives. `session_lost`: the site showed its login page to a job."""

    keyring: Callable[[], Keyring] = _nobody  # type: ignore[assignment]
    session: Callable[[Job], str] = _nobody  # type: ignore[assignment]
    lend_session: Callable[[Job], None] = _nobody
    session_lost: Callable[[Job], None] = _nobody


registered = Registered()
