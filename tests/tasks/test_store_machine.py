"""Any sequence of things that can happen to jobs keeps the promises of the store."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tasks.messages import FINAL_STATES, Accepted, JobState, WorkerCard
from tasks.store import JobStore
from tests.tasks.conftest import wish
from tests.traces import traces_in_redis

USER_LIMIT, TOTAL_LIMIT = 4, 8
WORKERS = ("v", "w")
OPEN = {JobState.QUEUED, JobState.RUNNING, JobState.DELIVERING}
users = st.integers(1, 3)
queues = st.sampled_from(["restore", "gpu"])


class JobLives(RuleBasedStateMachine):
    """Users, workers and a janitor, in any order; ``ended`` remembers how each job ended."""

    store: JobStore

    def __init__(self) -> None:
        super().__init__()
        self.store.redis.flushdb()
        for name in WORKERS:
            self.store.announce(WorkerCard(name=name, queues=("restore", "gpu"), device="cpu", dtype="float32"))
        self.messages = 0
        self.clock = 0.0
        self.held: list = []  # every job record a worker ever held, also those it lost
        self.accepted: set[str] = set()
        self.ended: dict[str, JobState] = {}

    @rule(user=users, queue=queues, pixels=st.sampled_from([1, 1_000_000, 10**8]))
    def send(self, user, queue, pixels):
        self.messages += 1
        picture = wish(user, self.messages, queue=queue, pixels=pixels)
        answer = self.store.submit(picture, user_limit=USER_LIMIT, total_limit=TOTAL_LIMIT)
        if isinstance(answer, Accepted):
            self.accepted.add(answer.job.id)

    @rule(wanted=st.lists(queues, min_size=1, max_size=2, unique=True), worker=st.sampled_from(WORKERS))
    def claim(self, wanted, worker):
        job = self.store.claim(wanted, worker=worker, lease_s=1000)
        if job is None:  # all that waits, if anything does, is for somebody who is there to take it
            waiting = (job for queue in wanted for job in self.store.first_waiting(queue, 1000))
            assert {job.keeper for job in waiting} <= set(WORKERS) - {worker}
        else:
            assert job.id not in self.ended
            self.held.append(job)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def renew(self, data):
        self.store.renew(data.draw(st.sampled_from(self.held)), lease_s=1000, progress=0.5)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def begin_delivery(self, data):
        self.store.begin_delivery(data.draw(st.sampled_from(self.held)), lease_s=1000)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), state=st.sampled_from([JobState.DONE, JobState.FAILED]))
    def finish(self, data, state):
        job = data.draw(st.sampled_from(self.held))
        if self.store.finish(job, state):
            assert self.ended.setdefault(job.id, state) is state

    @precondition(lambda self: self.held)
    @rule(data=st.data(), blameless=st.booleans(), aside_s=st.sampled_from([0.0, 1000.0]), kept=st.booleans())
    def release(self, data, blameless, aside_s, kept):
        self.store.release(data.draw(st.sampled_from(self.held)), blameless=blameless, aside_s=aside_s, kept=kept)

    @rule()
    def time_passes_for_what_was_put_aside(self):
        for job_id in self.store.redis.zrange("restora:aside", 0, -1):
            self.store.redis.zadd("restora:aside", {job_id: 1})
        self.store.sweep(longest_run_s=1e6)

    @rule(user=users)
    def forget(self, user):
        for job in self.store.forget(user):
            assert job.user_id == user
            self.accepted.remove(job.id)
            self.ended.pop(job.id, None)
        assert traces_in_redis(self.store.redis, [f"9:{user}:"]) == []

    @rule(user=users)
    def restart(self, user):
        for met in self.store.cancel_all(user):
            assert met.job.user_id == user
            if met.was is not JobState.DELIVERING:
                assert met.job.id not in self.ended
                self.ended[met.job.id] = JobState.CANCELLED

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def cancel(self, data):
        job_id = data.draw(st.sampled_from(sorted(self.accepted)))
        met = self.store.cancel(int(job_id.split(":")[1]), job_id)
        if met is not None and met.was in {JobState.QUEUED, JobState.RUNNING}:
            assert job_id not in self.ended
            self.ended[job_id] = JobState.CANCELLED

    @rule(away_from=queues)
    def reroute(self, away_from):
        self.store.reroute(away_from, "gpu" if away_from == "restore" else "restore")

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def fall_silent(self, data):
        job = data.draw(st.sampled_from(self.held))
        self.store.redis.zadd("restora:leases", {job.id: 1}, xx=True)
        _, failed = self.store.sweep(longest_run_s=1e6)
        for job_id in failed:
            assert job_id not in self.ended
            self.ended[job_id] = JobState.FAILED

    @invariant()
    def every_accepted_job_is_open_or_ended_as_it_was_said(self):
        for job_id in self.accepted:
            state = self.store.get(job_id).state
            assert state is self.ended[job_id] if job_id in self.ended else state in OPEN

    @invariant()
    def a_job_waits_or_is_leased_or_is_over(self):
        waiting = {job.id for queue in ("restore", "gpu") for job in self.store.first_waiting(queue, 1000)}
        aside = set(self.store.redis.zrange("restora:aside", 0, -1))
        assert not waiting & aside
        waiting |= aside
        leased = set(self.store.redis.zrange("restora:leases", 0, -1))
        states = {job_id: self.store.get(job_id).state for job_id in self.accepted}
        assert waiting == {job_id for job_id, state in states.items() if state is JobState.QUEUED}
        assert leased == {job_id for job_id, state in states.items() if state in OPEN - {JobState.QUEUED}}
        assert int(self.store.redis.get("restora:queued") or 0) == len(waiting) <= TOTAL_LIMIT + len(self.held)

    @invariant()
    def a_users_open_jobs_are_counted(self):
        for user in (1, 2, 3):
            listed = {job.id for job in self.store.open_jobs(user)}
            assert len(listed) <= USER_LIMIT
            assert listed == {
                job_id
                for job_id in self.accepted
                if job_id.startswith(f"9:{user}:") and self.store.get(job_id).state not in FINAL_STATES
            }

    @rule()
    def a_look_at_the_order(self):
        redis, store = self.store.redis, self.store
        clock = float(redis.get("restora:clock") or 0)
        turns = dict(redis.zrange("restora:turns", 0, -1, withscores=True))
        for queue in ("restore", "gpu"):
            waiting = redis.zrange(f"restora:queue:{queue}", 0, -1, withscores=True)
            jobs = [store.get(entry.split("|")[1]) for entry, _ in waiting]
            assert [store.place(job).place for job in jobs] == list(range(1, len(jobs) + 1))
            for job, (_, turn) in zip(jobs, waiting, strict=True):
                assert turn <= float(redis.hget(f"restora:job:{job.id}", "tag"))  # coming back makes nobody wait longer
                assert turn <= max(clock, turns.get(str(job.user_id), 0.0))  # one's next picture comes after it
        assert clock >= self.clock or clock == 0  # it goes back only when nobody waits
        self.clock = clock


@pytest.mark.slow
def test_any_life_of_jobs_keeps_the_promises(store):
    class Lives(JobLives):
        pass

    Lives.store = store
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )
