"""``python -m dev.audit``: whether the pinned dependencies have known vulnerabilities; part of ``make lint``.

Asks OSV (https://google.github.io/osv.dev/post-v1-querybatch/), where the advisories of PyPI and GitHub come together,
about all of them in one request. Exit status 1 when something is found that ``dev/accepted_vulnerabilities.txt`` does
not accept with a reason; 0, after a line that says so, where nobody answers: lint has to work without a network.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import requests

REPOSITORY = Path(__file__).resolve().parent.parent
API_URL = "https://api.osv.dev/v1"
PINNED_IN = ("requirements.txt", "requirements-bot.txt", "requirements-dev.txt", "constraints.txt")
ACCEPTED_FILE = REPOSITORY / "dev" / "accepted_vulnerabilities.txt"
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([A-Za-z0-9.!+_-]+)", re.MULTILINE)
ACCEPTED = re.compile(r"^(\S+)[ \t]+(\S.*)$")
TIMEOUT_S = (3.0, 10.0)  # to connect, to answer
PATIENCE_S = 15.0  # for everything, name resolution included, which knows no time limit


class AuditError(Exception):
    """Nobody answered, or not as OSV does; one line."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One vulnerability of one package, under all its names."""

    package: str
    version: str
    names: tuple[str, ...]  # the one it was found under first
    summary: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}: {self.names[0]} {self.summary}".rstrip()


def pinned(folder: Path = REPOSITORY) -> dict[str, str]:
    """Version by package of everything that is pinned; without what names a local build, such as ``+cpu``."""
    lines = [(folder / name).read_text("utf-8") for name in PINNED_IN]
    pins = [pin for text in lines for pin in PIN.findall(text)]
    return {re.sub(r"[-_.]+", "-", name).lower(): version.partition("+")[0] for name, version in pins}


def accepted(text: str) -> dict[str, str]:
    """Reason by vulnerability, from lines ``ID reason``.

    Raises:
        ValueError: a line without a reason.
    """
    lines = [line.strip() for line in text.splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    for line in wanted:
        if not ACCEPTED.match(line):
            raise ValueError(f"{line!r} says no reason")
    return {found[1]: found[2] for line in wanted if (found := ACCEPTED.match(line))}


def findings(packages: dict[str, str], *, api_url: str = API_URL) -> list[Finding]:
    """Every vulnerability that is known of these packages and was not withdrawn, once under whatever names it has.

    Raises:
        AuditError: nobody answered, or not as OSV does.
    """
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages.items()
    ]
    try:
        answer = requests.post(f"{api_url}/querybatch", json={"queries": queries}, timeout=TIMEOUT_S)
        answer.raise_for_status()
        results: list[dict[str, Any]] = answer.json()["results"]
        found: list[Finding] = []
        for (package, version), result in zip(packages.items(), results, strict=True):
            for vulnerability in result.get("vulns", ()):
                if not any(vulnerability["id"] in one.names for one in found if one.package == package):
                    found += _details(api_url, package, version, str(vulnerability["id"]))
    except requests.RequestException as error:
        raise AuditError(f"{api_url} does not answer ({type(error).__name__})") from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise AuditError(f"{api_url} does not answer as OSV does ({error})") from error
    return found


def _details(api_url: str, package: str, version: str, name: str) -> list[Finding]:
    """The vulnerability, or nothing where it was withdrawn."""
    answer = requests.get(f"{api_url}/vulns/{name}", timeout=TIMEOUT_S)
    answer.raise_for_status()
    known: dict[str, Any] = answer.json()
    if known.get("withdrawn"):
        return []
    names = (name, *map(str, known.get("aliases", ())))
    said = str(known.get("summary") or known.get("details") or "")
    return [Finding(package=package, version=version, names=names, summary=" ".join(said.split())[:200])]


def within_patience(packages: dict[str, str], *, api_url: str, patience_s: float) -> list[Finding]:
    """As :func:`findings`, for at most so long.

    Raises:
        AuditError: also when it took longer.
    """
    came: SimpleQueue[list[Finding] | AuditError] = SimpleQueue()

    def ask() -> None:
        try:
            came.put(findings(packages, api_url=api_url))
        except AuditError as error:
            came.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        outcome = came.get(timeout=patience_s)
    except Empty:
        raise AuditError(f"{api_url} does not answer within {patience_s:g} s") from None
    if isinstance(outcome, AuditError):
        raise outcome
    return outcome


def main(arguments: list[str] | None = None) -> int:
    """Ask and report."""
    parser = argparse.ArgumentParser(prog="python -m dev.audit", description=__doc__.splitlines()[0])
    parser.add_argument("--api-url", default=API_URL, help="where OSV is (%(default)s)")
    parser.add_argument("--accepted", type=Path, default=ACCEPTED_FILE, help="the vulnerabilities that are accepted")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, metavar="S", help="seconds (%(default)s)")
    wanted = parser.parse_args(arguments)
    packages = pinned()
    try:
        reasons = accepted(wanted.accepted.read_text("utf-8"))
        found = within_patience(packages, api_url=wanted.api_url, patience_s=wanted.patience)
    except ValueError as error:
        sys.stderr.write(f"audit: {wanted.accepted}: {error}\n")
        return 1
    except AuditError as error:
        sys.stderr.write(f"audit: the dependencies were not checked, {error}\n")
        return 0
    unaccepted = [one for one in found if not reasons.keys() & set(one.names)]
    for one in unaccepted:
        print(f"audit: {one}")
    unneeded = reasons.keys() - {name for one in found for name in one.names}
    for name in sorted(unneeded):
        print(f"audit: {name} is accepted but not there any more")
    print(
        f"audit: {len(packages)} packages, {len(unaccepted)} vulnerabilities, {len(found) - len(unaccepted)} accepted"
    )
    return 1 if unaccepted else 0


if __name__ == "__main__":
    sys.exit(main())
