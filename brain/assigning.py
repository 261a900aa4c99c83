"""The distribution cycle: waiting people to generators and devices, many in one transaction.

One batch is open at a time and one round at a time assigns from it, so its limits and its counter
are exact whatever number of distributors run.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Value
from django.db.models.functions import Concat

from brain import batches, sentences
from brain.distribution import Choice, Contender, Why, choose, distribute, passed_on
from brain.models import Decision, DistributionBatch
from devices.leasing import Hold, hold
from devices.models import Device, PersonWindow
from orchestrator_site import waking
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event, Pause
from queues import settling
from queues.models import DistributionConfig, Generator, NbcRecord, QueueEntry, RegistroWork

logger = logging.getLogger(__name__)
DISTRIBUTION = "distribution"


@dataclass
class Round:
    """What one round did."""

    decisions: list[Decision] = field(default_factory=list)
    waiting: int = 0
    blockers: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.decisions)

    def as_dict(self) -> dict[str, Any]:
        return {
            "assigned": dict(Counter(one.generator_id for one in self.decisions)),
            "waiting": self.waiting,
            "blockers": self.blockers,
        }


@dataclass(frozen=True)
class Pick:
    """A person, the choice made, and the device that came with it."""

    person: NbcRecord
    choice: Choice
    generator: str
    device: Device
    rw_id: str


def step() -> bool:
    """One round, unless paused; False: nobody could be assigned."""
    return Pause.of(DISTRIBUTION) is None and bool(run_round())


def run_round() -> Round:
    """Assign as many waiting people as the open batch, its limits and the devices allow."""
    settling.end_stale()
    with transaction.atomic():
        return _Assigner(batches.lock()).run()


class _Assigner:
    """One round, and what it goes by: read while no other round runs."""

    def __init__(self, config: DistributionConfig) -> None:
        self.config = config
        self.now = db_now()
        self.generators = list(Generator.objects.prefetch_related("endpoints"))
        self.pools: dict[str, list[Device]] = {}
        self.round = Round()

    def run(self) -> Round:
        front = self._front()
        if front and self.generators:
            batch = batches.opened(self.config, self.generators, self.now)
            self._tell_resting(front)
            self._assign(batch)
        return self.round

    def _assign(self, batch: DistributionBatch) -> None:
        room = batch.size - batch.assigned
        moved = self._moved(room)
        able = self._each_curp_once([*moved, *self._able(room)])
        if not able:
            return
        standing = passed_on(self._contenders(batch))
        self.pools = {one.name: self._free_devices(one, len(able)) for one in standing}
        contenders = [replace(one, free=len(self.pools[one.name])) for one in standing]
        order = [one.name for one in standing]
        picks: list[Pick] = []
        for name in (one for one in order if any(person.wanted == one for person in able)):
            people = [person for person in able if person.wanted == name]
            alone = [one for one in contenders if one.name == name]
            found, after = self._pick(people, batch.counter + len(picks), alone)
            picks += found
            contenders = [*after, *(one for one in contenders if one.name != name)]
        contenders.sort(key=lambda one: order.index(one.name))
        others = [person for person in able if person.wanted not in order]
        picks += self._pick(others, batch.counter + len(picks), contenders)[0]
        if picks:
            self._write(batch, picks)

    def _pick(
        self, people: Sequence[NbcRecord], counter: int, contenders: Sequence[Contender]
    ) -> tuple[list[Pick], Sequence[Contender]]:
        """Those of `people` who get a device of the contenders', and how these stand then."""
        choices = [c for c in distribute(len(people), counter, contenders) if c.chosen]
        picks = self._picked(self._taken(people[: len(choices)]), choices)
        assigned = {pick.person.pk for pick in picks}
        left = [person for person in people if person.pk not in assigned]
        after = picks[-1].choice.afterwards() if picks else contenders
        self._tell_why(left, choose(counter + len(picks), after))
        return picks, after

    # --- Who can be assigned ----------------------------------------------------------------------

    def _front(self) -> list[NbcRecord]:
        """Who would be next, whether or not a device took the CURP a while ago."""
        due = NbcRecord.objects.due(self.now).only("pk", "curp", "blocker")
        return list(due[: self.config.batch_size])

    def _able(self, room: int) -> list[NbcRecord]:
        """People for any generator, locked."""
        return list(self._rested().filter(wanted="").select_for_update(skip_locked=True)[:room])

    def _moved(self, room: int) -> list[NbcRecord]:
        """People whom staff moved to a generator, as many of each, locked."""
        waiting = NbcRecord.objects.filter(status=NbcRecord.Status.PENDING).exclude(wanted="")
        names = list(waiting.order_by().values_list("wanted", flat=True).distinct())
        each = [self._rested().filter(wanted=name) for name in names]
        return [one for rows in each for one in rows.select_for_update(skip_locked=True)[:room]]

    def _rested(self) -> QuerySet[NbcRecord]:
        """Those who are due and not resting: who rests must not stand in others' way."""
        shut = PersonWindow.objects.filter(curp=OuterRef("curp"), until__gt=self.now)
        live = QueueEntry.objects.filter(curp=OuterRef("curp"), status__in=QueueEntry.LIVE)
        return NbcRecord.objects.due(self.now).filter(~Exists(shut), ~Exists(live))

    def _each_curp_once(self, people: list[NbcRecord]) -> list[NbcRecord]:
        able: dict[str, NbcRecord] = {}
        for person in people:
            first = able.setdefault(person.curp, person)
            if first is not person:
                self._block([person], {"kind": "twin", "nbc_id": first.nbc_id})
        return list(able.values())

    def _taken(self, people: Sequence[NbcRecord]) -> list[NbcRecord]:
        """The people whose window is ours; another distributor may have been first with some."""
        until = self.now + self.config.minutes("person_window")
        holders = {person.curp: self._rw_id(person) for person in people}
        ours = PersonWindow.take(holders, self.now, until)
        return [person for person in people if person.curp in ours]

    def _contenders(self, batch: DistributionBatch) -> list[Contender]:
        """The generators as they stand, but for their free devices."""
        usable = Device.objects.usable(self.now).filter(online=True).order_by()
        counted = usable.values("fleet", "process").annotate(count=Count("pk"))
        online = {(row["fleet"], row["process"]): row["count"] for row in counted}
        picked = batch.inputs["picked"]
        return [
            Contender(
                name=one.name,
                enabled=one.enabled,
                is_failing=one.status == Generator.Status.FAILING,
                is_reachable=one.served_instances(self.now) != set(),
                online=online.get((one.fleet, one.process), 0),
                share=picked.get(one.name, {}).get("share", 0),
                slots=batch.slots.get(one.name, 0),
                used=batch.used.get(one.name, 0),
            )
            for one in self.generators
        ]

    def _free_devices(self, contender: Contender, most: int) -> list[Device]:
        """As many as it may use, locked, that an endpoint of the generator serves."""
        room = min(most, contender.slots - contender.used)
        if contender.unusable() or room <= 0:
            return []
        generator = next(one for one in self.generators if one.name == contender.name)
        free = Device.objects.pool(generator.fleet, generator.process).free(self.now)
        # A row that was deleted and made again is free while its last task still lives.
        live = QueueEntry.objects.filter(status__in=QueueEntry.LIVE, generator=generator)
        free = free.filter(~Exists(live.filter(device=OuterRef("device"))))
        served = generator.served_instances(self.now)
        if served is not None:
            free = free.filter(instance__in=served)
        return list(free.select_for_update(skip_locked=True)[:room])

    # --- What is written --------------------------------------------------------------------------

    def _picked(
        self,
        people: Sequence[NbcRecord],
        choices: Sequence[Choice],
    ) -> list[Pick]:
        return [
            Pick(
                person, choice, choice.chosen, self.pools[choice.chosen].pop(0), self._rw_id(person)
            )
            for person, choice in zip(people, choices, strict=False)
            if choice.chosen
        ]

    def _write(self, batch: DistributionBatch, picks: list[Pick]) -> None:
        RegistroWork.objects.bulk_create(
            [RegistroWork(rw_id=one.rw_id, nbc=one.person, i_date=self.now) for one in picks]
        )
        entries = QueueEntry.objects.bulk_create([self._entry(one) for one in picks])
        reason = sentences.BATCH % {"number": batch.pk}
        Event.record(entries, "", QueueEntry.Status.ASSIGNED, reason)
        hold(
            [
                Hold(one.device.pk, entry.pk, entry.curp)
                for one, entry in zip(picks, entries, strict=True)
            ],
            self.now,
            self.now + self.config.minutes("stuck"),
        )
        NbcRecord.move_all(
            [one.person for one in picks],
            NbcRecord.Status.P1,
            reason,
            rw_id=Concat(Value("IMSS_"), F("nbc_id"), Value(f"_{self._stamp}")),
            attempts=F("attempts") + 1,
            blocker={},
            wanted="",
        )
        self.round.decisions = Decision.objects.bulk_create(
            [self._decision(batch, one, entry) for one, entry in zip(picks, entries, strict=True)]
        )
        batches.use(batch, Counter(one.generator for one in picks))
        waking.notify(QueueEntry._meta.db_table)

    def _entry(self, pick: Pick) -> QueueEntry:
        person, device = pick.person, pick.device
        return QueueEntry(
            generator_id=pick.generator,
            nbc=person,
            case_id=person.case_id,
            curp=person.curp,
            task_data=person.data,
            rw_id=pick.rw_id,
            device=device.device,
            device_name=device.device_name,
            device_instance=device.instance,
            priority=person.priority,
            available_at=self.now,
            created_at=self.now,
        )

    def _decision(self, batch: DistributionBatch, pick: Pick, entry: QueueEntry) -> Decision:
        return Decision(
            batch=batch,
            nbc=pick.person,
            entry=entry,
            generator_id=pick.generator,
            device=pick.device.device,
            choice=pick.choice.as_dict(),
            created_at=self.now,
        )

    @property
    def _stamp(self) -> int:
        return int(self.now.timestamp() * 1000)

    def _rw_id(self, person: NbcRecord) -> str:
        return f"IMSS_{person.nbc_id}_{self._stamp}"

    # --- Why the others wait ----------------------------------------------------------------------

    def _tell_resting(self, people: list[NbcRecord]) -> None:
        shut = PersonWindow.shut({person.curp for person in people}, self.now)
        for person in people:
            if until := shut.get(person.curp):
                self._block([person], {"kind": "window", "until": until.isoformat()})

    def _tell_why(self, people: list[NbcRecord], choice: Choice) -> None:
        """`choice` is the one that would come next; it found nobody, or the round is full."""
        if people and choice.chosen is None:
            limits = {one.name: one.slots for one in choice.contenders}
            passed = [
                [name, str(why), limits[name] if why is Why.LIMIT else 0]
                for name, why in sorted(choice.passed)
            ]
            self._block(people, {"kind": "nobody", "passed": passed})

    def _block(self, people: Sequence[NbcRecord], blocker: dict[str, Any]) -> None:
        """Written where it is news: the same people are looked at again and again."""
        self.round.waiting += len(people)
        self.round.blockers.append({**blocker, "people": len(people)})
        told = [person.pk for person in people if person.blocker != blocker]
        if told:
            waiting = NbcRecord.objects.filter(pk__in=told, status=NbcRecord.Status.PENDING)
            waiting.update(blocker=blocker)
