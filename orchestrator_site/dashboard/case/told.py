"""What each kind of case has to say of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from orchestrator_site.dashboard.case.facts import Link, Section, State
from orchestrator_site.dashboard.case.hops import Hop
from queues.models import EvidenceFile

KINDS = {"attachment": _("Attachment"), "object": _("Object")}


@dataclass(frozen=True)
class StoredFile:
    """A file that belongs to a case. `name`: in an archive; `sha256` and `size`: what its row
    remembers ("" and None where no row does). `storage`: which of the project's storages has it,
    "" where it cannot be read from here (`note` says why). `url`: where a person opens it."""

    name: str
    path: str
    sha256: str = ""
    size: int | None = None
    kind: str = ""
    url: str = ""
    storage: str = "default"
    is_picture: bool = False
    attempt: int = 1
    note: str = ""

    @property
    def title(self) -> str:
        """Its name, of a repeated attempt's file with the attempt."""
        name = self.path.rpartition("/")[2]
        return name if self.attempt <= 1 else f"{name} ({self.attempt})"

    @property
    def kind_title(self) -> str:
        names = {**KINDS, **dict(EvidenceFile.Kind.choices)}
        return str(names.get(self.kind, self.kind))

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "attempt": self.attempt,
            "size": self.size,
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class Told:
    """`kind`: appeal, person, job, complaint, or the label of another model. `waits`: why it is
    where it is, in one sentence; "" where it waits for nothing. `secrets`: values that may be
    shown to nobody, wherever they turn up."""

    kind: str
    kind_title: str
    title: str
    state: State | None
    waits: str = ""
    hops: Sequence[Hop] = ()
    sections: Sequence[Section] = ()
    rows: Sequence[Link] = ()
    files: Sequence[StoredFile] = ()
    secrets: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True)
class Asked:
    """Of which case, and who asks. `keys`: of its rows, by their models' labels; `evidence`: its
    files, as far as the reader may see them."""

    case_id: UUID
    keys: Mapping[str, Sequence[str]]
    may: Callable[[str], bool]
    evidence: Sequence[EvidenceFile] = ()


Teller = Callable[[Asked], Told]
