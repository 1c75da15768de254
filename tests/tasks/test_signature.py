"""Who has only Redis's password gets no pictures: ended jobs name no file, changed records fetch none."""

from __future__ import annotations

import pytest
from filelock import FileLock

from models import RestoreOptions
from tasks.messages import JobState
from tasks.restore import Workshop
from tasks.store import JobStore
from tests.tasks.conftest import UNLIMITED, wish
from tests.tasks.test_workshop import RESULT
from tests.traces import traces_in_redis

OWNER, THIEF = 7_100_000_001, 7_200_000_002


class Chats:
    """A door that notes what is fetched, and what is brought where."""

    def __init__(self):
        self.fetched, self.brought, self.told = [], [], []

    def fetch(self, job, **_):
        self.fetched.append(job.file_id)
        return b"picture"

    def show(self, *_, **__):
        pass

    def deliver(self, job, document, **_):
        self.brought.append((job.chat_id, document.content))
        return False

    def tell(self, _, text):
        self.told.append(text)


class Restorer:
    """As quick as can be; something may happen meanwhile."""

    def __init__(self, meanwhile=lambda: None):
        self.meanwhile = meanwhile

    def restore(self, *_, **__):
        self.meanwhile()
        return RESULT


@pytest.fixture
def chats():
    return Chats()


@pytest.fixture
def signing(store):
    return JobStore(store.redis, secret="9:the-token-of-this-bot")


@pytest.fixture
def run(signing, chats, tmp_path):
    """Have a worker do the next job."""

    def run(meanwhile=lambda: None):
        workshop = Workshop(
            store=signing,
            door=chats,
            restorer=Restorer(meanwhile),
            options=RestoreOptions(),
            device_lock=FileLock(tmp_path / "lock", thread_local=False),
            ring=lambda _: None,
            worker="w",
            queues=("restore",),
            lease_s=5.0,
            job_timeout_s=60.0,
        )
        return workshop.run_next()

    return run


def submit(store, user, message):
    return store.submit(wish(user, message), **UNLIMITED).job


def queue_again(redis, job_id, **fields):
    """What somebody does who has Redis's password."""
    entry = redis.hget(f"restora:job:{job_id}", "entry")
    redis.hset(f"restora:job:{job_id}", mapping={"state": "queued", **fields})
    redis.zadd("restora:queue:restore", {entry: 0})


def claim(store):
    return store.claim(["restore"], worker="w", lease_s=30)


ENDS = {
    "done": lambda store, _: store.finish(claim(store), JobState.DONE),
    "failed": lambda store, _: store.finish(claim(store), JobState.FAILED, error="internal"),
    "cancelled in the queue": lambda store, job: store.cancel(job.user_id, job.id),
    "cancelled while it runs": lambda store, job: claim(store) and store.cancel_all(job.user_id),
    "took too long": lambda store, _: store.claim(["restore"], worker="w", lease_s=0) and store.sweep(longest_run_s=0),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))
def test_a_job_that_is_over_names_no_file_any_more(store, end):
    job = submit(store, OWNER, 1)
    store.redis.hset(f"restora:job:{job.id}", "file_name", "holiday.png")
    end(store, job)
    ended = store.get(job.id)
    assert (ended.state in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}, ended.file_id) == (True, "")
    assert traces_in_redis(store.redis, ["file-", "holiday"]) == []


def test_a_picture_that_was_taken_in_by_the_bot_is_fetched_and_brought(signing, chats, run):
    submit(signing, OWNER, 1)
    assert run()
    assert (chats.fetched, chats.brought) == ([f"file-{OWNER}-1"], [(OWNER, b"result")])


MOVES = {
    "another chat": {"chat_id": THIEF},
    "another chat and its name": {"chat_id": THIEF, "id": f"9:{THIEF}:1"},
    "another user": {"user_id": THIEF},
    "another file": {"file_id": "file-somebody-else"},
    "another message": {"message_id": 77},
    "no signature": {"signature": ""},
    "a signature of no key": {"signature": "näh"},
}


@pytest.mark.parametrize("moved", MOVES.values(), ids=list(MOVES))
def test_a_record_that_was_changed_in_redis_fetches_nothing(signing, chats, run, moved):
    job = submit(signing, OWNER, 1)
    queue_again(signing.redis, job.id, **moved)
    assert run()
    assert (chats.fetched, chats.brought) == ([], [])
    assert signing.get(job.id).state is not JobState.DONE


def test_the_owner_of_a_record_without_its_signature_is_told_why_and_asked_to_send_again(signing, chats, run):
    job = submit(signing, OWNER, 1)
    signing.redis.hdel(f"restora:job:{job.id}", "signature")
    assert run()
    assert (signing.get(job.id).state, signing.get(job.id).error) == (JobState.FAILED, "not_genuine")
    assert [text for text in chats.told if "send it again" in text] == chats.told != []


def test_the_signature_of_ones_own_picture_does_not_fit_somebody_elses(signing, chats, run):
    theirs, own = submit(signing, OWNER, 1), submit(signing, THIEF, 1)
    signing.cancel(OWNER, theirs.id)
    queue_again(signing.redis, own.id, file_id=theirs.file_id)
    assert run()
    assert chats.fetched == []


def test_a_job_moved_to_another_chat_while_it_is_worked_on_is_not_brought_there(signing, chats, run):
    job = submit(signing, OWNER, 1)
    assert run(meanwhile=lambda: signing.redis.hset(f"restora:job:{job.id}", "chat_id", THIEF))
    assert chats.fetched
    assert chats.brought == []


def test_an_ended_job_that_is_queued_again_fetches_nothing(signing, chats, run):
    job = submit(signing, OWNER, 1)
    run()
    chats.fetched.clear()
    queue_again(signing.redis, job.id, chat_id=THIEF)
    assert run()
    assert chats.fetched == []


def test_signatures_of_another_bots_token_do_not_fit(signing, store):
    job = submit(signing, OWNER, 1)
    assert signing.is_genuine(job)
    assert not store.is_genuine(job)
    assert not JobStore(store.redis, secret="9:another-token").is_genuine(job)
