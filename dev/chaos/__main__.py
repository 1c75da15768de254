"""``python -m dev.chaos``: break the real thing under load, and account for every picture.

Exit status 0 only if nothing was lost, went to the wrong chat or came twice outside the documented window; 1 if
something did; 2 for options that make no sense or a machine that cannot run it; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from dev.chaos.bench import run
from dev.chaos.report import Report
from dev.chaos.script import FAULTS, Settings
from dev.chaos.signatures import LARGEST_NUMBER
from dev.redis_server import NoRedisServerError
from dev.signals import until_signal
from dev.stack import REPOSITORY, ProcessDiedError

FOLDER = REPOSITORY / "var" / "chaos"
MOST_JOBS = LARGEST_NUMBER - 1000  # the roll call at the end sends some more

_EPILOG = """\
The account is printed and written to report.json in the folder, beside the logs of all processes. The seed gives the
same script of pictures, wishes and faults again; what meets what then differs with the machine's timing. faults by
name: {faults}.
"""


def _arguments(argv: Sequence[str] | None) -> tuple[Settings, Path]:
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m dev.chaos",
        description=__doc__,
        epilog=_EPILOG.format(faults=", ".join(FAULTS)),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the script")
    parser.add_argument("--jobs", type=_whole(1, MOST_JOBS), default=defaults.jobs, help="pictures sent")
    parser.add_argument("--users", type=_whole(1, 10_000), default=defaults.users, help="people who send them")
    parser.add_argument("--workers", type=_whole(1, 32), default=defaults.workers, help="workers")
    parser.add_argument("--pace", type=_seconds, default=defaults.pace, help="pictures per second, on the average")
    parser.add_argument("--every", type=float, default=defaults.every_s, help="seconds between faults; 0: none")
    parser.add_argument("--settle", type=_seconds, default=defaults.settle_s, help="seconds to settle, at most")
    parser.add_argument("--lease", type=_seconds, default=defaults.lease_s, help="LEASE_S of the workers")
    parser.add_argument("--faults", nargs="*", default=[], metavar="NAME", help="only faults that begin so")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for the report and the logs")
    given = parser.parse_args(argv)
    for name in given.faults:
        if not any(known.startswith(name) for known in FAULTS):
            parser.error(f"no fault begins with {name!r}; there are: {', '.join(FAULTS)}")
    settings = Settings(
        seed=given.seed,
        jobs=given.jobs,
        users=given.users,
        workers=given.workers,
        pace=given.pace,
        every_s=given.every,
        settle_s=given.settle,
        lease_s=given.lease,
        faults=tuple(given.faults),
    )
    return settings, given.folder


def _whole(least: int, most: int) -> type[int]:
    def parse(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{number} is not between {least} and {most}")
        return number

    return parse  # type: ignore[return-value]  # argparse calls it


def _seconds(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


async def _run(settings: Settings, folder: Path, reports: list[Report]) -> None:
    with tqdm(total=settings.jobs, unit=" jobs", file=sys.stderr, disable=None) as bar:

        def show(ended: int, doing: str) -> None:
            bar.set_postfix_str(doing, refresh=False)
            bar.update(min(ended, settings.jobs) - bar.n)

        reports.append(await run(settings, folder / "processes", show=show))


def _draw(report: Report, path: Path) -> None:
    from dev.chaos.plot import draw_course  # matplotlib takes a second that --help need not take

    draw_course(report, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, write the report, print the account."""
    settings, folder = _arguments(argv)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # resets on purpose are no news
    reports: list[Report] = []
    try:
        if not asyncio.run(until_signal(_run(settings, folder, reports))):
            print("Interrupted; there is no account of half a run.")
            return 130
    except (NoRedisServerError, ProcessDiedError, OSError) as error:
        print(f"python -m dev.chaos: {error}", file=sys.stderr)
        return 2
    (report,) = reports
    report.write(folder / "report.json")
    _draw(report, folder / "course.png")
    print(report.table())
    print(f"All of it: {folder / 'report.json'}")
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
