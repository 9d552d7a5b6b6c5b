"""`python -m agent.subscriber.conformance -- COMMAND…`"""

import argparse
import sys

from agent.subscriber.conformance.run import Unusable, judge


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m agent.subscriber.conformance",
        description="Does another subscriber come to the same answers? Its command reads messages from standard input and prints what it makes of them.",
    )
    parser.add_argument(
        "--limit", type=float, default=60.0, metavar="S", help="seconds that the command may take for a case"
    )
    parser.add_argument("command", nargs="+", help="after --: the command and its words")
    arguments = parser.parse_args()
    try:
        failed, count = judge(arguments.command, arguments.limit, lambda text: print(text, flush=True))
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{count - failed} of {count} held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
