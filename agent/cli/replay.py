"""Run a recording through the same lanes again and print its rows: equal, byte for byte, to those of the recorded run.

With --mot, detections of a MOTChallenge sequence run through the tracker of a config instead, and the tracks are written in its format.
"""

import argparse
import tempfile
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="?", help="a folder that `record` or `run --record` wrote")
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="keep the store in this new folder (left out: it is thrown away)"
    )
    parser.add_argument(
        "--mot", type=Path, metavar="SEQUENCE", help="a MOTChallenge folder: seqinfo.ini and det/det.txt"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="with --mot: the config whose tracker is judged")
    parser.add_argument("--mot-out", type=Path, metavar="FILE", help="with --mot: where the tracks are written")


def run(arguments: argparse.Namespace) -> int:
    from agent.problems import Exit, Problem

    mot = (arguments.mot, arguments.config, arguments.mot_out)
    if (arguments.folder is None) == (arguments.mot is None) or (any(mot) and not all(mot)):
        raise Problem(
            where="replay",
            what="it takes a recording, or --mot with --config and --mot-out",
            remedy="Give one of the two",
            code=Exit.COMMAND_LINE,
        )
    return _mot(*mot) if arguments.mot is not None else _replay(arguments)


def _mot(sequence: Path, config: Path, out: Path) -> int:
    from agent.config.read import read
    from agent.pipeline.mot import read_sequence, track
    from agent.problems import Exit, Problem

    lines = track(read_sequence(sequence), read(config).file)
    try:
        out.write_text("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise Problem(
            where=str(out),
            what=f"cannot be written ({error.strerror})",
            remedy="Name a file in a folder that you may write",
            code=Exit.COMMAND_LINE,
        ) from None
    return Exit.DONE


def _replay(arguments: argparse.Namespace) -> int:
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
