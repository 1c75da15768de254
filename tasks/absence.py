"""What a process knows of a Redis that does not do its part, so that not everybody in it finds out by waiting."""

from __future__ import annotations

import threading
import time

from redis import Redis, RedisError, ResponseError

LEFT_ALONE_S = 3.0  # after it refused; one that is silent is left alone until it answers
ASKED_EVERY_S = 0.1  # whether it is back


class Absence:
    """Whether Redis is away. May be shared between threads.

    Whoever has waited for Redis in vain notes it here. From then on a thread asks Redis whether it is back, beside
    everybody else, since a silent one keeps whoever asks for seconds.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lock = threading.Lock()
        self._since: float | None = None  # monotonic, as are all of these
        self._last_try_s = 0.0
        self._refuses_until = 0.0

    @property
    def lasts(self) -> bool:
        """Whether Redis, for all we know, would not do its part."""
        return self._since is not None or time.monotonic() < self._refuses_until

    def note(self, error: RedisError, *, since: float) -> None:
        """Note an ``error`` of a call that began at ``since`` (monotonic)."""
        now = time.monotonic()
        if isinstance(error, ResponseError):  # it is there, but full, or may not write
            self._refuses_until = now + LEFT_ALONE_S
            return
        with self._lock:
            self._last_try_s = now - since
            if self._since is not None:
                return
            self._since = since
        threading.Thread(target=self._wait_for_an_answer, name="is Redis back", daemon=True).start()

    @property
    def silent_for_s(self) -> float | None:
        """How long Redis has not answered; None if it does, whatever it says."""
        since = self._since
        return None if since is None else time.monotonic() - since

    def outlasts(self, patience_s: float) -> bool:
        """Whether another call would probably end, in vain, after Redis has been silent for ``patience_s``."""
        silent_for_s = self.silent_for_s
        return silent_for_s is not None and silent_for_s + self._last_try_s > patience_s

    def _wait_for_an_answer(self) -> None:
        try:
            while not self._answers():
                time.sleep(ASKED_EVERY_S)
        finally:  # whatever ended this thread: nobody else would ever find out that Redis is back
            with self._lock:
                self._since = None

    def _answers(self) -> bool:
        try:
            self._redis.ping()
        except ResponseError:
            return True
        except RedisError:
            return False
        return True
