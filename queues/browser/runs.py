"""What a run is given and what it leaves: plain values that cross the thread's border."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

REPEATED = "--- attempt {number} ---"  # a live log's line before those of a repeated attempt
Kind = Literal["log", "screenshot", "trace", "download", "receipt", "data"]


@dataclass(frozen=True)
class Run:
    """One execution of a script. `inputs` are the names that values may hold, without secrets;
    `folder` takes the evidence and is made when it is missing."""

    script: str
    script_hash: str
    inputs: Mapping[str, Any]
    folder: Path
    page_timeout: float  # seconds
    files: Mapping[str, Path] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    storage_state: dict[str, Any] | None = field(default=None, repr=False)
    trace: bool = True
    pictures: bool = True  # of what goes well; of a failure there always is one
    keep_session: bool = False  # whether the outcome is to carry the storage_state
    hosts: Sequence[str] | None = None  # the only ones that it may go to; None: anywhere
    networks: Sequence[IPv4Network | IPv6Network] = ()  # where these may be, not being public
    most_bytes: int = 0  # that it may download, each file and all that comes; 0: any number
    hidden: Sequence[str] = field(default=(), repr=False)  # words that nothing may show
    numbered: bool = False  # pictures are screenshot-0.png, screenshot-1.png ...
    when_stopped: str = "lease lost"  # what a run says that its caller ended


@dataclass(frozen=True)
class Artifact:
    """A file in the run's folder; its path's last part is unique in the run."""

    kind: Kind
    path: Path
    name: str


@dataclass(frozen=True)
class StepEvent:
    """A step has ended; `index` counts from 1."""

    index: int
    verb: str
    target: str
    ok: bool
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `irrevocable_begun`: the site may have what was sent, whatever `ok` says;
    `confirmed`: the site said that it has. `storage_state` is that of a run that went well."""

    ok: bool
    error_class: str = ""
    message: str = ""
    failed_step: int | None = None
    irrevocable_begun: bool = False
    confirmed: bool = False
    receipt: bool = False
    values: Mapping[str, str] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    storage_state: dict[str, Any] | None = field(default=None, repr=False)
    seconds: float = 0.0
