"""`@serial`, `@machine-id`, `@hostname` and `${VARIABLE}` in names: one config for a fleet."""

import re
from collections.abc import Mapping
from pathlib import Path

_WORD = re.compile(r"@(?P<machine>serial|machine-id|hostname|[a-z-]*)|\$\{(?P<variable>[A-Za-z_][A-Za-z0-9_]*)\}")

# Where the kernel and the system say it; the first that is there and not empty counts.
_PLACES = {
    "serial": ("proc/device-tree/serial-number", "sys/class/dmi/id/product_serial", "sys/class/dmi/id/board_serial"),
    "machine-id": ("etc/machine-id",),
    "hostname": ("proc/sys/kernel/hostname", "etc/hostname"),
}


class IdentityError(Exception):
    """what cannot be filled in, and the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy


def filled_in(text: str, environment: Mapping[str, str], root: Path) -> str:
    """The text with each word replaced, in lower case; a host name without its domain. root: "/", or what stands for it in a test."""

    def value(match: re.Match[str]) -> str:
        if match["variable"] is not None:
            return _variable(match["variable"], environment)
        return _machine(match["machine"], root)

    return _WORD.sub(value, text)


def _variable(name: str, environment: Mapping[str, str]) -> str:
    found = environment.get(name, "")
    if not found:
        raise IdentityError(
            f"the environment variable {name} is not set, or empty", "Set it for the agent, or write the name itself."
        )
    return found


def _machine(word: str, root: Path) -> str:
    if word not in _PLACES:
        raise IdentityError(
            f'"@{word}" is nothing that is filled in', "Write @serial, @machine-id, @hostname or ${VARIABLE}."
        )
    for place in _PLACES[word]:
        try:
            found = (root / place).read_text(encoding="utf-8", errors="replace").strip("\0 \t\r\n")
        except OSError:
            continue
        if found:
            return (found.partition(".")[0] if word == "hostname" else found).lower()
    places = " or ".join(f"/{place}" for place in _PLACES[word])
    raise IdentityError(
        f"this machine has no {word} that the agent can read ({places})", "Write the name itself, or ${VARIABLE}."
    )
