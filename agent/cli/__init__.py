"""Commands: one file each, named as the command; `agent/__main__.py` imports only the one that was asked for.

Takes   the parsed arguments.
Gives   the exit code (`agent.problems.Exit`).
Threads the main thread.
Fails   Problem or Problems: printed by `__main__`, one line each, with its exit code.
Add one a file with a docstring (the help text), `add_arguments(parser)`, `run(arguments) -> int`, and its line in `__main__.COMMANDS`.
"""
