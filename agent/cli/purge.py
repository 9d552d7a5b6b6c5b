"""Take out of the store what is older than a day: results, ticks, events and items; and snapshots. The agent must be stopped.

Each number that goes is told to subscribers with its reason; numbers that were sent before may be theirs already. What is deleted is
overwritten, and the file is written anew where there is room. Windows that are not summed up yet lose the rows before the day, too.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the config file whose data folder is meant")
    parser.add_argument("--before", required=True, metavar="DATE", help="2026-11-01: what was before this day, UTC")
    parser.add_argument("--lane", help="of this lane only")
    parser.add_argument(
        "--reason",
        choices=["operator", "privacy"],
        default="operator",
        help="what subscribers are told (left out: operator)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    import sys
    from datetime import UTC, datetime

    from agent.clock import SystemClock
    from agent.config.read import read
    from agent.events import snapshots
    from agent.problems import Exit, Problem
    from agent.store.purge import purge
    from agent.summaries.totals import totals

    try:
        day = datetime.strptime(arguments.before, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Problem(
            where="--before",
            what=f"{arguments.before!r} is no day",
            remedy="Write it as 2026-11-01",
            code=Exit.COMMAND_LINE,
        ) from None
    before_us = round(day.timestamp()) * 1_000_000
    reading = SystemClock().reading()
    if before_us > reading.at_us + reading.utc_offset_us:
        raise Problem(
            where="--before",
            what=f"{arguments.before} is in the future",
            remedy="Give today or a day before",
            code=Exit.COMMAND_LINE,
        )
    where = Path(read(arguments.config).file.device.data)
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise Problem(
                where="purge",
                what="it asks before it deletes, and nobody can answer here",
                remedy="Add --yes",
                code=Exit.COMMAND_LINE,
            )
        of = f" of lane {arguments.lane}" if arguments.lane else ""
        if (
            input(f"Delete everything{of} before {arguments.before} from {where}? It cannot be undone. [y/N] ")
            .strip()
            .lower()
            != "y"
        ):
            return Exit.NO
    found = purge(where, before_us, f"{arguments.before}T00:00:00", arguments.reason, totals, lane=arguments.lane)
    rows = ", ".join(f"{count} {table}s" for table, count in found.rows.items() if count)
    try:
        pictures, undated = snapshots.purge(where, before_us / 1e6, arguments.lane)
    except OSError as error:
        raise Problem(
            where=str(where),
            what=f"snapshots cannot be deleted: {error.strerror or error}",
            remedy="Delete them by hand: snapshots/ in the data folder. Rows and items are gone",
            code=Exit.STORE,
        ) from None
    print(f"gone: {rows or 'no rows'}, {found.items} items" + (f", {pictures} snapshots" if pictures else ""))
    if undated:
        print(f"{undated} snapshots have no date (the device did not know the time then), and stay")
    if found.kept:
        print(
            f"{found.kept} items before that day stay: hours of a day that is not summed up yet, or the newest of all"
        )
    if found.undated:
        print(
            f"{found.undated} ticks have no date (the device never learnt the time then): nobody knows whether they are older, and they stay"
        )
    if not found.shrunk:
        print("the file keeps its size: there is no room to write it anew; what was deleted is overwritten")
    return Exit.DONE
