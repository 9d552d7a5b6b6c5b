"""Record what the lanes take, with the results in FOLDER/live, without MQTT; `edge-agent replay FOLDER` runs it again."""

import argparse
from pathlib import Path

from agent.cli._seconds import seconds
from agent.cli._signals import stop_on_signals
from agent.clock import SystemClock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the config file")
    parser.add_argument("folder", type=Path, help="the recording: a new or empty folder")
    parser.add_argument("--lane", action="append", default=[], metavar="L", help="only this lane; may be given again")
    parser.add_argument("--for", dest="for_s", type=seconds, metavar="S", help="end after so many seconds")


def run(arguments: argparse.Namespace) -> int:
    from agent.config.read import read
    from agent.log import configure
    from agent.pipeline.recorder import check_new
    from agent.pipeline.run import Options, run_agent
    from agent.problems import Exit, Problem

    configure()
    loaded = read(arguments.config)
    unknown = [lane for lane in arguments.lane if lane not in loaded.file.lane]
    if unknown:
        raise Problem(
            where="--lane",
            what=f"the config has no lane {unknown[0]!r}",
            remedy=f"It has: {', '.join(loaded.file.lane)}",
            code=Exit.COMMAND_LINE,
        )
    check_new(arguments.folder)
    if arguments.lane:
        loaded = loaded.only(arguments.lane)
    options = Options(record=arguments.folder, for_s=arguments.for_s, data=arguments.folder / "live", offline=True)
    with stop_on_signals() as stop:
        return run_agent(loaded, options, clock=SystemClock(), stop=stop)
