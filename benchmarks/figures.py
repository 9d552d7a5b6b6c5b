"""A figure of a benchmark: how it is printed, as a JSON line or for people, and read again; and the command line that all areas share."""

import argparse
import sys
from collections.abc import Iterable, Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """baseline: the same work without the agent, measured in turns with it. target: what it shall hold, None where nobody asks for more than to know.

    holds: whether it does; None without a target.
    """

    name: str
    value: float
    unit: str
    baseline: float | None
    target: float | None
    holds: bool | None


def at_least(name: str, value: float, unit: str, *, baseline: float | None = None, target: float) -> Figure:
    return Figure(name=name, value=value, unit=unit, baseline=baseline, target=target, holds=value >= target)


def at_most(name: str, value: float, unit: str, *, baseline: float | None = None, target: float) -> Figure:
    return Figure(name=name, value=value, unit=unit, baseline=baseline, target=target, holds=value <= target)


def known(name: str, value: float, unit: str, *, baseline: float | None = None) -> Figure:
    """A figure without a target."""
    return Figure(name=name, value=value, unit=unit, baseline=baseline, target=None, holds=None)


def parser(text: str | None) -> argparse.ArgumentParser:
    """--json, --quick. text: the docstring of the area."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="a line a figure")
    made.add_argument("--quick", action="store_true", help="under 50 s, fewer rounds")
    return made


def say(figure: Figure, *, as_json: bool) -> None:
    """Prints it at once: the next one may take a while."""
    print(to_line(figure) if as_json else _row(figure, _WIDTH), flush=True)


def skipped(what: str) -> None:
    """Why something is not measured here."""
    print(f"not measured: {what}", file=sys.stderr, flush=True)


def to_line(figure: Figure) -> str:
    return msgspec.json.encode(figure).decode()


def from_line(line: str) -> Figure:
    """msgspec.DecodeError or ValidationError when it is none."""
    return msgspec.json.decode(line, type=Figure)


_WIDTH = 60


def table(areas: Iterable[tuple[str, Sequence[Figure]]]) -> str:
    """All figures, a heading an area."""
    listed = list(areas)
    width = max((len(figure.name) for _, figures in listed for figure in figures), default=_WIDTH)
    lines = [f"{'':{width}} {'value':>10} {'':9} {'baseline':>10} {'target':>9}"]
    for area, figures in listed:
        lines += ["", area, *(_row(figure, width) for figure in figures)]
    return "\n".join(lines)


def _row(figure: Figure, width: int) -> str:
    judged = {None: "", True: "holds", False: "DOES NOT HOLD"}[figure.holds]
    cells = [_number(figure.baseline), _number(figure.target)]
    return f"{figure.name:{width}} {_number(figure.value):>10} {figure.unit:9} {cells[0]:>10} {cells[1]:>9} {judged}".rstrip()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
