"""python -m emulator as a process."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp

from emulator import TOKEN

REPOSITORY = Path(__file__).resolve().parents[2]


async def start(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "emulator", *arguments, stdout=PIPE, stderr=PIPE, cwd=REPOSITORY
    )


async def until_connected(client: aiohttp.ClientSession, address: str) -> None:
    connected = False
    while not connected:
        async with client.get(f"{address}/emulator/people") as response:
            connected = (await response.json())["bot"]["connected"]


async def test_it_prints_its_address_serves_and_stops_on_sigterm() -> None:
    process = await start("--port", "0", "--faults", '{"fault": "ServerError", "method": "getMe"}')
    assert process.stdout is not None
    async with asyncio.timeout(20):
        address = (await process.stdout.readline()).decode().split()[-1]
        async with aiohttp.ClientSession() as client:
            statuses = []
            for _ in range(2):
                async with client.get(f"{address}/bot{TOKEN}/getMe") as response:
                    statuses.append(response.status)
            poll = asyncio.create_task(client.get(f"{address}/bot{TOKEN}/getUpdates?timeout=30"))
            await until_connected(client, address)
            process.send_signal(signal.SIGTERM)
            async with await poll as response:
                assert (await response.json())["result"] == []
        _, errors = await process.communicate()
    assert (statuses, process.returncode, errors) == ([500, 200], 0, b"")


async def test_a_port_in_use_is_one_line_and_a_failure() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await start("--port", str(port))
    output, errors = await process.communicate()
    server.close()
    assert (process.returncode, output) == (1, b"")
    (line,) = errors.decode().splitlines()
    assert "address already in use" in line


async def test_an_unknown_fault_is_refused_at_the_start() -> None:
    process = await start("--faults", '{"fault": "Earthquake"}')
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"no fault 'Earthquake'" in errors


async def test_a_token_somebody_brought_is_not_printed() -> None:
    process = await start("--port", "0", "--token", "42:secret")
    assert process.stdout is not None
    first = await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    rest, errors = await process.communicate()
    assert b"secret" not in first + rest + errors
