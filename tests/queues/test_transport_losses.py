"""What the transport does when workers, readers or Redis itself die, on a real Redis."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import redis

from queues.browser.reports import NotReadable, Report, WorkerBeat
from queues.browser.signing import SIGNATURE, EnvelopeRefused, parsed
from queues.browser.transport import Transport
from tests import redis as redis_server
from tests.queues.envelopes import die, done, envelope, ids, started, status, taken, told
from tests.racing import together


@pytest.fixture
def transport(redis_url: str) -> Transport:
    return Transport(redis_url)


# --- Workers that die ----------------------------------------------------------------------------


def test_a_dead_workers_jobs_are_reported_lost_once(transport: Transport) -> None:
    transport.push([envelope() for _ in range(3)])
    raws = transport.take("w", 3)
    jobs = [parsed(raw) for raw in raws]
    for job in jobs[:2]:
        transport.started("w", job)
    assert transport.begun("w", jobs[0])
    assert transport.reap() == 0
    die(transport)
    assert sum(together(8, lambda _number: transport.reap())) == 3
    lost = {report.job_id: report for report in told(transport) if report.kind == "lost"}
    assert [lost[job.job_id].begun for job in jobs] == [True, False, False]
    assert [lost[job.job_id].lease for job in jobs] == [job.lease for job in jobs]


def test_a_worker_that_comes_back_late_changes_nothing(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    die(transport)
    transport.reap()
    told(transport)
    assert not transport.begun("w", job)
    assert not transport.finish("w", raw, done(job))
    transport.returned("w", raw)
    transport.refused("w", raw, SIGNATURE)
    assert told(transport) == []
    assert status(transport, job)["status"] == "running"


def test_a_late_worker_leaves_the_next_attempt_alone(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    die(transport)
    transport.reap()
    told(transport)
    transport.push([envelope(job_id=job.job_id, attempt=2)])
    _raw, again = started(transport, "other")
    assert not transport.begun("w", job)
    assert not transport.finish("w", raw, done(job))
    assert transport.begun("other", again)


def test_a_worker_that_took_before_its_first_heartbeat_is_watched(transport: Transport) -> None:
    transport.push([envelope()])
    taken(transport)
    assert transport.workers() == []
    die(transport)
    assert transport.reap() == 1


def test_a_restarted_worker_of_the_same_name_has_lost_what_it_had(transport: Transport) -> None:
    transport.push([envelope()])
    _raw, job = started(transport)
    transport.beat(WorkerBeat("w"))
    assert transport.enter("w") == 1
    assert told(transport)[-1].kind == "lost"
    assert transport.reap() == 0
    assert transport.knows([job.job_id]) == set()


def test_a_worker_that_leaves_is_forgotten_once_its_list_is_empty(transport: Transport) -> None:
    transport.beat(WorkerBeat("idle"))
    transport.push([envelope()])
    taken(transport)
    transport.leave("idle")
    transport.leave("w")
    assert transport.client.smembers("sri:workers") == {"w"}
    assert transport.reap() == 1
    assert not transport.client.exists("sri:workers")


def test_a_returned_job_is_given_back_and_runs_under_its_next_lease(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    transport.returned("w", raw)
    assert [report.kind for report in told(transport)] == ["started", "returned"]
    transport.push([replace(envelope(job_id=job.job_id), attempt=1)])
    assert started(transport)[1].job_id == job.job_id


def test_a_job_is_not_given_back_behind_its_irrevocable_step(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    transport.begun("w", job)
    transport.returned("w", raw)
    began, before_step, lost = told(transport)
    assert (began.begun, before_step.begun) == (False, True)
    assert (lost.kind, lost.begun) == ("lost", True)


def test_nothing_is_lost_or_ended_twice_however_workers_die(redis_url: str) -> None:
    """Six workers that die or pause between any two steps, beside a reaper: each job ends once
    under the control plane's rule, the first report of the current lease."""
    jobs = {job.job_id: job for job in (envelope(number % 3) for number in range(60))}
    control = Transport(redis_url)
    control.push(list(jobs.values()))
    ended: Counter[str] = Counter()

    def take_in() -> None:
        for entry, report in control.reports("c"):
            if report.kind in ("finished", "lost") and report.lease == jobs[report.job_id].lease:
                if report.kind == "finished":
                    ended[report.job_id] += 1
                    jobs[report.job_id] = replace(jobs[report.job_id], lease="over")
                else:
                    old = jobs[report.job_id]
                    again = envelope(old.org_id, job_id=old.job_id, attempt=old.attempt + 1)
                    jobs[old.job_id] = again
                    control.push([again])
            control.acknowledge([entry])

    def work(number: int) -> None:
        mine = Transport(redis_url)
        for turn in range(40):
            name = f"w{number}-{turn}"
            for raw in mine.take(name, 2):
                job = parsed(raw)
                if (turn + number) % 4 == 0:
                    die(mine, name)
                if mine.started_all(name, [job]) and (turn + number) % 4 != 1:
                    mine.finish(name, raw, done(job, name))
            die(mine, name)

    def keep_house(_number: int) -> None:
        for _ in range(40):
            control.reap()
            take_in()

    together(7, lambda number: keep_house(number) if number == 6 else work(number))
    while control.reap() or control.client.xlen("sri:results"):
        take_in()
    while raws := control.take("last", 5):
        for raw in raws:
            control.started("last", parsed(raw))
            control.finish("last", raw, done(parsed(raw), "last"))
        take_in()
    assert ended == dict.fromkeys(jobs, 1)


# --- Taking back, cancelling ---------------------------------------------------------------------


def test_a_job_that_nobody_took_can_be_withdrawn(transport: Transport) -> None:
    first, second = envelope(), envelope()
    transport.push([first, second])
    assert not transport.withdraw(first.job_id, "2")
    assert transport.withdraw(first.job_id, "1")
    assert not transport.withdraw(first.job_id, "1")
    assert transport.knows(ids([first, second])) == {second.job_id}
    assert ids(taken(transport, 5)) == [second.job_id]
    assert not transport.withdraw(second.job_id, "1")


def test_a_job_is_either_withdrawn_or_taken(redis_url: str) -> None:
    jobs = [envelope() for _ in range(60)]
    Transport(redis_url).push(jobs)

    def race(number: int) -> set[str]:
        mine = Transport(redis_url)
        if number % 2:
            return {job.job_id for job in reversed(jobs) if mine.withdraw(job.job_id, "1")}
        return {parsed(raw).job_id for _ in jobs for raw in mine.take(f"w{number}")}

    won = [job for some in together(4, race) for job in some]
    assert sorted(won) == sorted(ids(jobs))


def test_a_worker_sees_which_of_its_jobs_are_to_end(transport: Transport) -> None:
    transport.ask_cancel("b")
    assert transport.is_cancelled(["a", "b"]) == {"b"}
    assert transport.is_cancelled([]) == set()


def test_a_job_that_the_control_plane_ended_cannot_go_on(transport: Transport) -> None:
    transport.push([envelope()])
    _raw, job = started(transport)
    transport.ended([replace(done(job, status="cancelled"), worker="")])
    assert status(transport, job)["status"] == "cancelled"
    assert not transport.begun("w", job)


# --- Reconciliation ------------------------------------------------------------------------------


def test_a_job_is_known_until_its_report_is_taken_in(transport: Transport) -> None:
    job = envelope()
    known = {job.job_id}
    transport.push([job])
    assert transport.knows([job.job_id, "another"]) == known
    (raw,) = transport.take("w", 1)
    assert transport.knows(known) == known
    transport.started("w", job)
    assert transport.knows(known) == known
    ((entry, _began),) = transport.reports("c")
    transport.finish("w", raw, done(job))
    transport.acknowledge([entry])
    assert transport.knows(known) == known
    told(transport)
    assert transport.knows(known) == set()


@pytest.mark.parametrize("lost", ["sri:org:1:jobs", "sri:jobs", "*"])
def test_what_redis_lost_is_not_known_and_can_be_given_again(
    transport: Transport, lost: str
) -> None:
    job = envelope()
    transport.push([job])
    transport.client.flushall() if lost == "*" else transport.client.delete(lost)
    assert transport.knows([job.job_id]) == set()
    transport.push([job])
    assert started(transport)[1] == job


def test_a_running_job_is_not_known_after_redis_lost_all(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    transport.client.flushall()
    assert transport.knows([job.job_id]) == set()
    assert not transport.begun("w", job)
    assert not transport.finish("w", raw, done(job))


# --- Reports -------------------------------------------------------------------------------------


def test_reports_are_read_once_and_again_after_their_reader_died(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    transport.finish("w", raw, done(job))
    first = transport.reports("dies")
    assert len(first) == 2
    assert transport.reports("next") == []
    assert transport.reports("next", idle=0) == first
    transport.acknowledge(entry for entry, _report in first)
    assert transport.reports("next", idle=0) == []


def test_a_reader_waits_for_the_first_report(redis_url: str) -> None:
    transport = Transport(redis_url)
    transport.push([envelope()])
    reader = threading.Timer(0.05, started, [Transport(redis_url)])
    reader.start()
    (read,) = transport.reports("c", block_ms=5000)
    reader.join()
    assert read[1].kind == "started"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '"x"', "{}", '{"kind": 3}', '{"kind": "finished", "jobId": "a"}'],
)
def test_what_is_no_report_is_left_out_and_goes(transport: Transport, text: str) -> None:
    with pytest.raises(NotReadable):
        Report.parsed(text)
    transport.client.xadd("sri:results", {"report": text})
    transport.client.xadd("sri:results", {"other": "field"})
    transport.push([envelope()])
    started(transport)
    assert [report.kind for _entry, report in transport.reports("c")] == ["started"]
    assert transport.client.xlen("sri:results") == 1


def test_a_report_is_the_same_after_its_way() -> None:
    report = done(envelope(), results=[{"name": "a"}], seconds=1.5, confirmed=True, message="é ☃")
    assert Report.parsed(report.to_json()) == report


# --- Connections that break ----------------------------------------------------------------------


def test_a_redis_that_restarts_is_waited_for_and_learns_the_script_again() -> None:
    job = envelope()
    with ExitStack() as servers:
        url = servers.enter_context(redis_server.running())
        transport = Transport(url)
        transport.push([envelope()])
        servers.close()
        port = int(url.rpartition(":")[2].partition("/")[0])
        coming = threading.Timer(
            0.1, lambda: servers.enter_context(redis_server.running(port)) and None
        )
        coming.start()
        transport.push([job])
        coming.join()
        assert transport.waiting("1") == 1
        assert transport.reports("c") == []
        assert started(transport)[1] == job


def test_a_take_whose_answer_was_lost_is_answered_by_the_next(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport.push([envelope() for _ in range(3)])
    (first,) = transport.take("w")
    evalsha = transport.client.evalsha

    def broken(*words: Any) -> Any:
        evalsha(*words)
        raise redis.ConnectionError("the answer is lost")

    with monkeypatch.context() as patch:
        patch.setattr(transport.client, "evalsha", broken)
        patch.setattr(Transport, "_again", lambda *_words: [1])
        with pytest.raises(redis.ConnectionError):
            transport.finish_and_take("w", [(first, done(parsed(first)))])
    strayed = transport.take("w")
    assert len(strayed) == 1 and strayed != [first]
    assert transport.take("w", 5) and not transport.take("w", 5)


def test_a_start_whose_answer_was_lost_may_be_asked_again(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport.push([envelope()])
    (raw,) = transport.take("w")
    evalsha, calls = transport.client.evalsha, []

    def broken_once(*words: Any) -> Any:
        calls.append(words)
        answer = evalsha(*words)
        if len(calls) == 1:
            raise redis.TimeoutError("the answer is lost")
        return answer

    monkeypatch.setattr(transport.client, "evalsha", broken_once)
    transport.started("w", parsed(raw))
    assert len(calls) == 2
    with pytest.raises(EnvelopeRefused):
        transport.started("w", parsed(raw))
