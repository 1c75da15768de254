"""Looks for traces of somebody: in all of Redis, and in folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from redis import Redis

PASSING_MS = 60_000


def everything_in(redis: Redis) -> Iterator[tuple[str, str]]:
    """Every key with every value in it, and each key's own name, as text."""
    read: dict[str, Any] = {
        "string": lambda key: [redis.get(key)],
        "list": lambda key: redis.lrange(key, 0, -1),
        "set": redis.smembers,
        "zset": lambda key: redis.zrange(key, 0, -1),
        "hash": lambda key: [text for pair in redis.hgetall(key).items() for text in pair],
        "stream": lambda key: map(repr, redis.xrange(key)),
    }
    for key in redis.scan_iter(count=1000):
        yield key, key
        kind = redis.type(key)
        if kind != "none":  # else it ran out just now
            yield from ((key, str(value)) for value in read[kind](key))


def traces_in_redis(redis: Redis, marks: Iterable[str]) -> list[tuple[str, str]]:
    """Where any of ``marks`` stands: key and value; but for what goes by itself within a minute, such as the time until
    which a chat may get no other message."""
    sought = list(marks)
    found = [(key, value) for key, value in everything_in(redis) if any(mark in value for mark in sought)]
    return [(key, value) for key, value in found if not 0 < redis.pttl(key) <= PASSING_MS]


def traces_on_disk(folders: Iterable[Path], marks: Iterable[str | bytes]) -> list[tuple[Path, bytes]]:
    """Which files have any of ``marks`` in their bytes or their names."""
    sought = [mark.encode() if isinstance(mark, str) else mark for mark in marks]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [
        (path, mark)
        for path in files
        for content in [path.name.encode() + b"\0" + path.read_bytes()]
        for mark in sought
        if mark in content
    ]
