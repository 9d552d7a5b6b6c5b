"""Print what the store holds, one row a line, in the order of time; works while the agent runs. `--rows`: results, ticks, events, summaries."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the config file whose data folder is read")
    parser.add_argument("--format", choices=["jsonl", "csv"], default="jsonl", help="jsonl: an object a line")
    parser.add_argument("--rows", action="store_true", help="results, ticks, events and summaries")


def run(arguments: argparse.Namespace) -> int:
    from agent.config.read import read
    from agent.problems import Exit, Problem
    from agent.store.export import print_rows
    from agent.store.folder import DATABASE

    if not arguments.rows:
        raise Problem(
            where="export",
            what="this version exports rows only",
            remedy="Add --rows",
            code=Exit.COMMAND_LINE,
        )
    print_rows(Path(read(arguments.config).file.device.data) / DATABASE, arguments.format)
    return Exit.DONE
