"""Look at pictures, arrays, folders or videos with a model, and print what it finds: a line an input, a line a frame of a video.

No config, store or broker is needed. INPUT is a picture, an .npy array, a folder of them, or a video. Exit 1 when an input could not be read.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.oneshot.settings import add_model_arguments

if TYPE_CHECKING:
    from agent.oneshot.inputs import Given
    from agent.oneshot.looking import Looking
    from agent.oneshot.pictures import Pictures
    from agent.pipeline.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a picture, an .npy array, a folder or a video")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    parser.add_argument(
        "--annotate",
        type=Path,
        metavar="DIR",
        help="write pictures with boxes, points, areas or text there: NAME.png, of videos NAME_000001.png",
    )


def run(arguments: argparse.Namespace) -> int:
    from agent.oneshot.looking import Looking
    from agent.oneshot.pictures import Pictures
    from agent.oneshot.settings import model_config

    config = model_config(arguments)
    pictures = Pictures(arguments.annotate) if arguments.annotate is not None else None
    with Looking(config, masks=pictures is not None) as looking:
        return _look_at_all(arguments, looking, pictures)


def _look_at_all(arguments: argparse.Namespace, looking: "Looking", pictures: "Pictures | None") -> int:
    """Problems go to stderr, one line each. Exit: 0; 1 when some inputs could not be read; the first problem's when none could."""
    from agent.oneshot.inputs import read_inputs
    from agent.problems import Exit, Problem

    problems: list[Problem] = []
    done = 0
    for given in read_inputs(arguments.inputs, looking.wanted(), every_s=looking.config.every_s):
        if not isinstance(given, Problem):
            looking.open_for(given)  # a model that is refused ends the command
        try:
            if isinstance(given, Problem):
                raise given
            line, text = _look(arguments, looking, given, pictures, first=not done)
        except Problem as problem:
            print(problem, file=sys.stderr)
            problems.append(problem)
            continue
        print(line if arguments.json else text, flush=True)
        done += 1
    if not problems:
        return Exit.DONE
    return Exit.NO if done else problems[0].code


def _look(
    arguments: argparse.Namespace, looking: "Looking", given: "Given", pictures: "Pictures | None", *, first: bool
) -> tuple[str, str]:
    """(a JSON object, a line for people)"""
    import msgspec

    from agent.oneshot.lines import as_object, as_text
    from agent.records import Frame

    runner = looking.open_for(given)
    found, times = looking.look(given)
    if first and not arguments.json:
        _say_what_runs(looking.name, runner)
    line = as_object(given, runner, found, times, model=looking.name)
    if pictures is not None and isinstance(given.record, Frame):
        from agent.oneshot.drawing import draw

        pictures.write(given, draw(given.record.pixels, found, line))
    return msgspec.json.encode(line).decode(), as_text(line, runner.labels)


def _say_what_runs(name: str, runner: "Runner") -> None:
    """On stderr, so that what is on stdout is results alone."""
    refused = runner.choice.refused if runner.choice is not None else {}
    notes = [f"degraded: {runner.degraded}"] if runner.degraded else []
    notes += [f"not on {delegate}: {why}" for delegate, why in refused.items()]
    note = f" ({'; '.join(notes)})" if notes else ""
    print(
        f"{name}: {runner.runtime} on {runner.delegate}{note}; decoder {runner.decoder}, because {runner.why}",
        file=sys.stderr,
    )
