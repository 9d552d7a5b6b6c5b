"""Print what the store holds; works while the agent runs.

`--rows` (or neither): results, ticks, events, summaries, one row a line, in the order of time. `--items`: the items as they are sent, birth first, ledger last:
the road of a device without a link. `edge-agent subscribe --store FILE --import ITEMS` takes them.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the config file whose data folder is read")
    parser.add_argument("--format", choices=["jsonl", "csv"], default="jsonl", help="of rows; jsonl: an object a line")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--rows", action="store_true", help="results, ticks, events and summaries (what is printed without it, too)"
    )
    what.add_argument(
        "--items", action="store_true", help="items, with birth and ledger; what is exported counts as sent"
    )
    parser.add_argument("--todo", action="store_true", help="with --items: only what no broker has acknowledged")
    parser.add_argument("--stream", help="with --items: of this stream only, as summary/yard/h1")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="with --items: whole or not at all, with .gz at its end compressed (left out: stdout)",
    )


def run(arguments: argparse.Namespace) -> int:
    from agent.config.read import read
    from agent.problems import Exit, Problem
    from agent.store.export import print_rows
    from agent.store.folder import DATABASE

    if not arguments.items and (arguments.todo or arguments.stream or arguments.out):
        raise Problem(
            where="export",
            what="--todo, --stream and --out belong to --items",
            remedy="Add --items",
            code=Exit.COMMAND_LINE,
        )
    path = Path(read(arguments.config).file.device.data) / DATABASE
    if arguments.items:
        return _items(path, arguments)
    print_rows(path, arguments.format)
    return Exit.DONE


def _items(path: Path, arguments: argparse.Namespace) -> int:
    import sqlite3
    import sys
    from contextlib import closing

    from agent.clock import SystemClock
    from agent.problems import Exit, Problem
    from agent.store import folder
    from agent.store.connection import connect_to_read, connect_to_write
    from agent.sync.items_file import new_file, write_items

    connect_to_read(path).close()  # there is one, and it can be read
    try:
        with closing(connect_to_write(path)) as connection:
            reading = SystemClock().reading()
            if arguments.out is None:
                count = write_items(
                    connection, reading, sys.stdout.buffer, todo=arguments.todo, stream=arguments.stream
                )
            else:
                with new_file(arguments.out) as file:
                    count = write_items(connection, reading, file, todo=arguments.todo, stream=arguments.stream)
    except sqlite3.Error as error:
        raise folder.unusable(path, error) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise Problem(
            where=str(arguments.out), what=f"the file cannot be written ({error.strerror})", remedy="Name a file in a folder that exists, with room",
        ) from error  # fmt: skip
    print(f"{count} items", file=sys.stderr)
    return Exit.DONE
