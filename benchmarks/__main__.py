"""Runs every benchmark in a process of its own and prints one table. Exit code 1 only when one of them crashed: figures are read, not obeyed.

python -m benchmarks [--quick] [--json] [AREA…]
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, from_line, parser, say, table

FOLDER = Path(__file__).parent
_NO_AREA = ("__init__", "__main__", "brokers", "figures", "lane_load", "loop_disk", "slow_link", "wear")
# Each area promises 50 s with --quick; a machine that is busy gets several times that.
_QUICK_LIMIT_S = 300.0
_LIMIT_S = 1800.0


def areas() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in FOLDER.glob("*.py") if file.stem not in _NO_AREA))


def main(words: Sequence[str] | None = None) -> int:
    arguments_of = parser(__doc__)
    arguments_of.add_argument("area", nargs="*", help=f"of {', '.join(areas())}; left out: all")
    arguments = arguments_of.parse_args(words)
    unknown = [area for area in arguments.area if area not in areas()]
    if unknown:
        arguments_of.error(f"no such area: {', '.join(unknown)}")
    found: list[tuple[str, list[Figure]]] = []
    crashed = []
    for area in arguments.area or areas():
        began = time.monotonic()
        figures, crash = measure(area, quick=arguments.quick)
        print(f"{area}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        found.append((area, figures))
        if crash is not None:
            crashed.append(f"{area}: {crash}")
        if arguments.json:
            for figure in figures:
                say(figure, as_json=True)
    if not arguments.json:
        print(table(found))
    for line in crashed:
        print(line, file=sys.stderr)
    return 1 if crashed else 0


def measure(area: str, *, quick: bool) -> tuple[list[Figure], str | None]:
    """(the figures of one area, why it did not end well or None). What it says on stderr is seen at once."""
    command = [sys.executable, "-m", f"benchmarks.{area}", "--json", *(["--quick"] if quick else [])]
    limit_s = _QUICK_LIMIT_S if quick else _LIMIT_S
    try:
        done = subprocess.run(
            command, cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        return _figures(said if isinstance(said, str) else said.decode())[0], f"did not end in {limit_s:.0f} s"
    figures, misread = _figures(done.stdout)
    return figures, f"ended with {done.returncode}" if done.returncode else misread


def _figures(text: str) -> tuple[list[Figure], str | None]:
    figures, misread = [], None
    for line in text.splitlines():
        try:
            figures.append(from_line(line))
        except msgspec.DecodeError:
            misread = f"this is no figure: {line[:100]}"
    return figures, misread


if __name__ == "__main__":
    sys.exit(main())
