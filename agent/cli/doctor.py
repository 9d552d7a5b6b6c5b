"""Check what this machine has and whether everything that the config names works on it: each check with what was found and a remedy.

Models are opened and run as a lane would; no device is opened and nobody on the network is asked. Exit 1 when a check fails.
"""

import argparse
from pathlib import Path

from agent.cli.status import CONFIGS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config",
        type=Path,
        nargs="?",
        help=f"the config file (left out: {' or '.join(map(str, CONFIGS))}, if there is one)",
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line, one a check")


def run(arguments: argparse.Namespace) -> int:
    import msgspec

    from agent.clock import SystemClock
    from agent.doctor.every import checks
    from agent.problems import Exit

    config = arguments.config or next((path for path in CONFIGS if path.exists()), None)
    count = {"ok": 0, "warn": 0, "fail": 0, "absent": 0}
    for check in checks(config, SystemClock()):
        count[check.state] += 1
        if arguments.json:
            print(msgspec.json.encode(check).decode(), flush=True)
            continue
        print(f"{check.state:6}  {check.name:18}  {check.found}", flush=True)
        if check.remedy is not None:
            print(f"{'':28}→ {check.remedy}", flush=True)
    if not arguments.json:
        print("\n" + ", ".join(f"{number} {state}" for state, number in count.items() if number))
    return Exit.NO if count["fail"] else Exit.DONE
