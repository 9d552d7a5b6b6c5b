"""Run the agent in the foreground, until Ctrl-C or SIGTERM, or until all its sources have ended."""

import argparse
from pathlib import Path

from agent.cli._seconds import seconds
from agent.cli._signals import stop_on_signals
from agent.clock import SystemClock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the config file")
    parser.add_argument("--report", type=Path, metavar="PATH", help="append one JSON line a commit, after it returned")
    parser.add_argument("--for", dest="for_s", type=seconds, metavar="S", help="end after so many seconds")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="also record what the lanes take")
    parser.add_argument(
        "--record-for", dest="record_for_s", type=seconds, metavar="S", help="record for so many seconds"
    )
    parser.add_argument(
        "--log", default="info", choices=["debug", "info", "warning", "error"], help="how much is said on stderr"
    )


def run(arguments: argparse.Namespace) -> int:
    from agent.config.read import read
    from agent.log import configure
    from agent.pipeline.recorder import check_new
    from agent.pipeline.run import Options, run_agent
    from agent.problems import Exit, Problem

    if arguments.record_for_s is not None and arguments.record is None:
        raise Problem(
            where="--record-for", what="nothing is recorded", remedy="Add --record FOLDER", code=Exit.COMMAND_LINE
        )
    configure(arguments.log)
    loaded = read(arguments.config)
    if arguments.record is not None:
        check_new(arguments.record)
    options = Options(
        report=arguments.report, for_s=arguments.for_s, record=arguments.record, record_for_s=arguments.record_for_s
    )
    with stop_on_signals() as stop:
        return run_agent(loaded, options, clock=SystemClock(), stop=stop)
