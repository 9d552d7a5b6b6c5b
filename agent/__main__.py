"""The command line: reads the command's name and imports that one file of `agent/cli`."""

import sys

from agent.version import VERSION

# One line a command; the file in agent/cli has the same name.
COMMANDS = {
    "run": "run the agent in the foreground",
    "infer": "look at pictures or videos with a model, and print what it finds",
    "bench": "measure a model on this machine: latencies, cold load, memory",
    "doctor": "check runtime, hardware, models and clock, and name remedies",
    "init": "write a commented config for a camera or port found here",
    "check": "name everything that is wrong with a config",
    "status": "say from the store alone how the device is doing",
    "record": "record what the lanes take, to replay it later",
    "replay": "run a recording through the same lanes again",
    "explain": "say what a model is, how it would be read and why",
    "models": "list or fetch the models of the catalogue",
    "subscribe": "receive a device's items and say what is missing",
    "look": "show what a lane sees on a local page, and draw its zones and lines",
    "export": "print the rows of a store",
    "purge": "take out of a store what is older than a day",
}

_NAME_AND_VERSION = f"edge-agent {VERSION}"


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:  # scripts ask for it often: it costs no more than Python itself
        print(_NAME_AND_VERSION)
        return 0
    import argparse
    import importlib

    parser = argparse.ArgumentParser(
        prog="edge-agent", description="Understands cameras and sensors where the data is made."
    )
    parser.add_argument("--version", action="version", version=_NAME_AND_VERSION)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in words if not word.startswith("-")), None)
    module = importlib.import_module(f"agent.cli.{chosen}") if chosen in COMMANDS else None
    for name, summary in COMMANDS.items():
        described = (module.__doc__ if name == chosen and module else None) or summary
        command = commands.add_parser(name, help=summary, description=described)
        if name == chosen and module is not None:
            module.add_arguments(command)
    parsed = parser.parse_args(words)
    if module is None:
        parser.error("no command")
    from agent.problems import Exit, Problem, Problems  # only now: --version and --help stay free of imports

    try:
        return int(module.run(parsed))
    except (Problem, Problems) as problem:
        print(problem, file=sys.stderr)
        return int(problem.code)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:  # `run` and its like end in good order by themselves
        print("interrupted", file=sys.stderr)
        return int(Exit.NO)


if __name__ == "__main__":
    sys.exit(main())
