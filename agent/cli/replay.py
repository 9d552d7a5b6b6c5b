"""Run a recording through the same lanes again and print its rows: equal, byte for byte, to those of the recorded run."""

import argparse
import tempfile
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a folder that `record` or `run --record` wrote")
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="keep the store in this new folder (left out: it is thrown away)"
    )


def run(arguments: argparse.Namespace) -> int:
    from agent.log import configure
    from agent.pipeline.replay import replay
    from agent.problems import Exit, Problem
    from agent.store.export import print_rows

    configure("warning")
    store: Path | None = arguments.store
    if store is not None and store.exists() and (not store.is_dir() or any(store.iterdir())):
        raise Problem(
            where=str(store),
            what="it is there already, and no empty folder",
            remedy="Name a new folder: a replay begins with an empty store",
            code=Exit.COMMAND_LINE,
        )
    with tempfile.TemporaryDirectory(prefix="edge-agent-replay-") as scratch:
        print_rows(replay(arguments.folder, store or Path(scratch) / "store"))
    return Exit.DONE
