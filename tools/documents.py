"""Pages and schemas that are made from the code: `--write` makes them, `--check` fails when one is stale."""

import argparse
import importlib
import sys

# Each has main(["--write" | "--check"]) -> exit code.
MAKERS = ("agent.config.schema", "agent.messages.schema", "tools.cost")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true")
    what.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    flag = "--write" if arguments.write else "--check"
    return max(int(importlib.import_module(maker).main([flag])) for maker in MAKERS)


if __name__ == "__main__":
    sys.exit(main())
