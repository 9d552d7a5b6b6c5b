"""Secrets come from a file that others cannot read, or from an environment variable; never from the config file."""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from agent.values import Secret

_MOST_BYTES = 65_536
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretError(Exception):
    """what is wrong, and the remedy; both without the secret."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy


def read_secret(file: Path | None, variable: str, environment: Mapping[str, str]) -> Secret:
    """The file's text without its last line end; without a file the variable's value. SecretError when there is none."""
    return _from_file(file) if file is not None else _from_variable(variable, environment)


def _from_file(file: Path) -> Secret:
    try:
        if not file.is_file():
            raise SecretError(f"there is no file {file}", "Write the secret to it, and nothing else, then chmod 600.")
        if file.stat().st_mode & stat.S_IROTH:
            raise SecretError(f"everybody on this machine can read {file}", f"chmod 600 {file}")
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES).decode()
    except OSError as error:
        raise SecretError(f"{file} cannot be read ({error.strerror})", "Let the agent's user read it.") from None
    except UnicodeDecodeError:
        raise SecretError(f"{file} is not text", "Write the secret to it as UTF-8, and nothing else.") from None
    text = text.rstrip("\r\n")
    if not text.strip():
        raise SecretError(f"{file} is empty", "Write the secret to it, and nothing else.")
    return Secret(text)


def _from_variable(variable: str, environment: Mapping[str, str]) -> Secret:
    if not _VARIABLE.fullmatch(variable):
        raise SecretError(
            "is not the name of an environment variable", "Name the variable; the secret itself does not stand here."
        )
    if not environment.get(variable, "").strip():
        raise SecretError(
            f"the environment variable {variable} is not set, or empty", "Set it for the agent, or use a file."
        )
    return Secret(environment[variable])
