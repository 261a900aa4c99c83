"""A company's files into the bucket, and what became of each into the registry.

A row is `pending`, and committed, before its file is sent. So a crash leaves a trace, and the next
upload settles it by what is in the bucket. Only the thread that calls touches the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from django.conf import settings

from orchestrator_site.logs import redact
from postprocessing import folder, objects, sentences, transfers
from postprocessing.companies import Company
from postprocessing.folder import Entry, FileFault
from postprocessing.models import S3File
from postprocessing.models.source_file import NAME_LENGTH
from postprocessing.objects import ObjectError
from postprocessing.registry import End, Registry
from postprocessing.transfers import Content, Crew, Transfer

BATCH = 500  # files; of two batches the names are in memory, and of no file the content
ASK_EVERY = 5.0  # seconds, whether to stop
FIRST = 1000  # faults and warnings that are told one by one
Status, Source = S3File.Status, S3File.Source


@dataclass
class Uploaded:
    """Of `files`, how many were sent (`simulated`: to this machine), were there, or failed.
    `error`: why nothing more can be sent."""

    is_simulated: bool = False
    files: int = 0
    uploaded: int = 0
    pre_existing: int = 0
    simulated: int = 0
    errors: int = 0
    faults: list[FileFault] = field(default_factory=list)
    warnings: list[FileFault] = field(default_factory=list)
    error: str = ""


def _untold(done: int, of: int | None) -> None:
    return


def upload(
    company: Company,
    *,
    full: bool = False,
    dry_run: bool = False,
    told: Callable[[int, int | None], None] = _untold,
    stopped: Callable[[], bool] = lambda: False,
) -> Uploaded:
    """Send what is not in the bucket yet. What the registry knows is believed; with `full` the
    bucket is asked for each object. `dry_run` writes and sends nothing.

    Where nothing (more) can be sent, `error` says why: refused credentials, no bucket, no server.
    """
    with _Upload(company, full=full, dry_run=dry_run, stopped=stopped) as work:
        try:
            is_whole = work.carry_out(folder.listed(company.folder), told)
            if is_whole and not dry_run:
                work.settle_without_file()
        except ObjectError as error:
            work.done.error = redact(str(error))
        return work.done


def upload_files(
    company: Company, names: Iterable[str], source: str = S3File.Source.MANUAL
) -> Uploaded:
    """Send these, whatever is known of them. Raises ObjectError where nothing can be sent."""
    with _Upload(company, full=True, again=True, source=source) as work:
        work.carry_out(work.looked_up(names))
        return work.done


def register_files(company: Company, names: Iterable[str]) -> Uploaded:
    """Note in the registry which of these are in the bucket. Nothing is sent: what is not there
    is a fault. Raises ObjectError where the bucket cannot be asked."""
    with _Upload(company, full=True, may_send=False) as work:
        work.carry_out(work.looked_up(names))
        return work.done


@dataclass(frozen=True)
class _Item:
    """A file that needs attention. `was`: its row's status before; "": the registry did not know
    it. `is_known`: by the registry as there, with this content."""

    row: S3File
    content: Content
    transfer: Transfer
    was: str
    is_known: bool
    ask: bool  # the bucket whether it has it


@dataclass(frozen=True)
class _Batch:
    """On its way."""

    items: Sequence[_Item] = ()
    futures: Sequence[Future[None]] = ()


class _Upload:
    def __init__(
        self,
        company: Company,
        *,
        full: bool = False,
        dry_run: bool = False,
        source: str = S3File.Source.BOT,
        again: bool = False,
        may_send: bool = True,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.home, self.full, self.dry_run, self.source = company.folder, full, dry_run, source
        self.again, self.may_send, self.stopped = again, may_send, stopped
        self.asked = time.monotonic()  # whether to stop
        self.store = objects.store()
        self.registry = Registry(company, self.store)
        self.crew = Crew(self.store, settings.PQR_UPLOADS_IN_FLIGHT)
        self.done = Uploaded(is_simulated=self.store.is_simulated)
        self.keys_by_prefix: dict[str, frozenset[str]] = {}

    def __enter__(self) -> _Upload:
        return self

    def __exit__(self, *_error: object) -> None:
        self.crew.close()

    def looked_up(self, names: Iterable[str]) -> Iterator[Entry]:
        for name in names:
            try:
                yield folder.looked_up(self.home, name)
            except folder.Unreadable as error:
                self.done.files += 1
                self._refuse(name, str(error))

    def carry_out(
        self,
        entries: Iterable[Entry],
        told: Callable[[int, int | None], None] = _untold,
    ) -> bool:
        """While one batch is sent, the next one is hashed. False: it was stopped."""
        sending, left = _Batch(), iter(entries)
        try:
            while not self.crew.is_over and (some := list(islice(left, BATCH))):
                if self.stopped():
                    return False
                begun = self._begun(some)
                self._end(sending)
                sending = begun
                told(self.done.files, None)
        finally:
            self._end(sending)
        if self.crew.refused:
            raise self.crew.refused
        return not self.crew.is_halted

    def settle_without_file(self) -> None:
        """Rows whose upload was cut short, and whose file is gone since."""
        for row in self.registry.pending():
            with suppress(folder.Unreadable):
                folder.looked_up(self.home, row.filename)
                continue
            found = self.store.head(row.s3_key)
            if found and found.sha256 == row.file_hash:
                end = End(self._sent, sentences.SETTLED)
            else:
                end = End(Status.ERROR, sentences.FILE_GONE)
                self._refuse(row.filename, sentences.FILE_GONE)
            self.registry.write_ends([(row, end)])

    # --- A batch, in the order of its steps -----------------------------------------------------

    def _begun(self, entries: list[Entry]) -> _Batch:
        items = self._to_look_at(entries)
        self._wait(self.crew.begin(transfers.compare, [one.transfer for one in items if one.ask]))
        if self.crew.is_over:
            return _Batch()
        items = [one for one in items if self._is_to_be_noted(one)]
        if self.dry_run:
            for one in items:
                self._count(one)
            return _Batch()
        ours = self.registry.write_pending([(one.row, one.content) for one in items])
        items = [one for one in items if one.row.filename in ours]
        to_send = [one.transfer for one in items if not one.transfer.is_there]
        return _Batch(items, self.crew.begin(transfers.send, to_send))

    def _to_look_at(self, entries: Iterable[Entry]) -> list[_Item]:
        known = self.registry.rows_of(entry.name for entry in entries)
        files = list(self._read(entries, known))
        made = self.registry.made([one for one in files if one[0].name not in known])
        items = [
            self._item(known[entry.name], content)
            if entry.name in known
            else self._new_item(*made[entry.name], content)
            for entry, content in files
        ]
        if self.full:
            return items
        touched = [one for one in items if one.is_known]
        self.done.pre_existing += len(touched)
        if not self.dry_run:
            self.registry.write_times([(one.row, one.content) for one in touched])
        return [one for one in items if not one.is_known]

    def _read(
        self, entries: Iterable[Entry], known: dict[str, S3File]
    ) -> Iterator[tuple[Entry, Content]]:
        """Those whose size or time is not what the registry has."""
        for entry in entries:
            if self._is_stopping():
                return
            self.done.files += 1
            row = known.get(entry.name)
            if problem := _problem(entry):
                self._refuse(entry.name, problem)
            elif row and not self.full and self._is_unchanged(row, entry):
                self.done.pre_existing += 1
            else:
                try:
                    yield entry, transfers.content_of(self.home, entry.name)
                except folder.Unreadable as error:
                    self._refuse(entry.name, str(error))

    def _is_unchanged(self, row: S3File, entry: Entry) -> bool:
        is_same = (row.file_size, row.mtime_ns) == (entry.size, entry.mtime_ns)
        return is_same and self.registry.says_there(row)

    def _item(self, row: S3File, content: Content) -> _Item:
        is_known = self.registry.says_there(row) and row.file_hash == content.sha256
        is_elsewhere = self.registry.is_elsewhere(row) and not self.store.is_simulated
        ask = is_known or is_elsewhere or row.status == Status.PENDING or not self.may_send
        transfer = self._transfer(row, content)
        return _Item(row, content, transfer, row.status, is_known, ask and not self.again)

    def _new_item(self, row: S3File, prefix: str, content: Content) -> _Item:
        ask = not self.again and row.s3_key in self._keys_below(prefix)
        return _Item(row, content, self._transfer(row, content), "", False, ask)

    def _transfer(self, row: S3File, content: Content) -> Transfer:
        case_id = row.metadata.get("case-id", "")
        return Transfer(self.home, row.filename, row.s3_key, content, row.content_type, case_id)

    def _keys_below(self, prefix: str) -> frozenset[str]:
        """Listed once a run: cheaper than asking for each."""
        if self.store.is_simulated:
            return frozenset()
        if prefix not in self.keys_by_prefix:
            self.keys_by_prefix[prefix] = frozenset(one.key for one in self.store.listed(prefix))
        return self.keys_by_prefix[prefix]

    def _is_to_be_noted(self, item: _Item) -> bool:
        """Whether the registry is to change: not where the bucket is as it says, or as nobody
        could find out."""
        transfer = item.transfer
        if transfer.error:
            self._refuse(transfer.name, transfer.error)
        elif not (transfer.is_there or self.may_send):
            self._refuse(transfer.name, sentences.NOT_IN_BUCKET)
        elif item.is_known and transfer.is_there:
            self.done.pre_existing += 1
            if not self.dry_run and item.row.mtime_ns != item.content.mtime_ns:
                self.registry.write_times([(item.row, item.content)])
        else:
            return True
        return False

    def _end(self, batch: _Batch) -> None:
        self._wait(batch.futures)
        items = batch.items
        if self.crew.is_halted:  # the rest stays pending, for the next upload
            items = [one for one in items if one.transfer.is_there or one.transfer.error]
        for one in items:
            self._count(one)
        self.registry.write_ends((one.row, self._end_of(one)) for one in items)

    def _wait(self, futures: Sequence[Future[None]]) -> None:
        while wait(futures, timeout=ASK_EVERY).not_done:
            self._is_stopping()
        for future in futures:
            future.result()

    def _is_stopping(self) -> bool:
        """To be asked all along: who runs this may have to show that it is alive."""
        if time.monotonic() - self.asked >= ASK_EVERY:
            self.crew.is_halted = self.stopped() or self.crew.is_halted
            self.asked = time.monotonic()
        return self.crew.is_halted

    def _end_of(self, item: _Item) -> End:
        transfer = item.transfer
        if transfer.error:
            return End(Status.ERROR, transfer.error)
        if not transfer.is_there:
            return End(Status.ERROR, sentences.UPLOAD_ENDED % {"why": self.crew.refused})
        if not transfer.was_found:
            return End(self._sent, source=self.source)
        if item.was == Status.PENDING:
            return End(self._sent, sentences.SETTLED)
        return End(Status.PRE_EXISTING, sentences.FOUND, Source.PRE_EXISTING)

    @property
    def _sent(self) -> str:
        return Status.SIMULATED if self.store.is_simulated else Status.UPLOADED

    def _count(self, item: _Item) -> None:
        transfer = item.transfer
        if transfer.error:
            self._refuse(transfer.name, transfer.error)
        elif transfer.was_found and item.was != Status.PENDING:
            self.done.pre_existing += 1
        elif transfer.is_there or self.dry_run:
            self.done.simulated += self.store.is_simulated
            self.done.uploaded += not self.store.is_simulated
        if transfer.differs and item.was == "" and not transfer.error:
            self._note(self.done.warnings, transfer.name, sentences.OVERWRITTEN)

    def _refuse(self, name: str, reason: str) -> None:
        self.done.errors += 1
        self._note(self.done.faults, name, reason)

    def _note(self, notes: list[FileFault], name: str, reason: str) -> None:
        if len(notes) < FIRST:
            notes.append(FileFault(name, 0, reason))


def _problem(entry: Entry) -> str:
    """Why it is not even opened; "" where it may be."""
    if len(entry.name) > NAME_LENGTH:
        return sentences.NAME_TOO_LONG % {"limit": NAME_LENGTH}
    return entry.problem
