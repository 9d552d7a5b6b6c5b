"""The figures: a table with bars for people, and a JSON object a figure."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from agent.bench.measure import Measured

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_BAR = 24
_HEADS = ("delegate", "threads", "p50", "p90", "p99", "mean", "runs/s", "whole p90", "cold load", "RSS")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """delegate: what was asked for; what ran stands in `measured`."""

    delegate: str
    threads: int
    measured: Measured


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """Milliseconds; the bar is p90 of the bare runs (light to p99), all on one scale."""
    cells = [_HEADS, *(_cells(row) for row in rows if row.measured.invoke is not None)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADS))]
    greatest = max((row.measured.invoke.p90_ms for row in rows if row.measured.invoke is not None), default=1.0)
    yield _spaced(_HEADS, widths)
    for row in rows:
        if row.measured.invoke is None:
            yield f"{row.delegate.ljust(widths[0])}  {str(row.threads).rjust(widths[1])}  {row.measured.problem}"
            continue
        yield f"{_spaced(_cells(row), widths)}  {bar(row.measured.invoke.p90_ms / greatest)}"
        if row.measured.degraded:
            yield f"  degraded: {row.measured.degraded}"


def _cells(row: Row) -> tuple[str, ...]:
    found = row.measured
    assert found.invoke is not None
    assert found.whole is not None
    ran = row.delegate if found.delegate == row.delegate else f"{row.delegate} → {found.delegate}"
    times = (found.invoke.p50_ms, found.invoke.p90_ms, found.invoke.p99_ms, found.invoke.mean_ms)
    return (
        ran,
        str(row.threads),
        *(milliseconds(took) for took in times),
        f"{1000 / found.invoke.mean_ms:,.0f}" if found.invoke.mean_ms < 100 else f"{1000 / found.invoke.mean_ms:.1f}",
        milliseconds(found.whole.p90_ms),
        f"{found.load_ms:.0f}",
        f"{found.rss_bytes / 1e6:.0f} MB",
    )


def milliseconds(took: float) -> str:
    """Three digits that count."""
    return f"{took:.3f}" if took < 1 else f"{took:.2f}" if took < 10 else f"{took:.1f}" if took < 100 else f"{took:.0f}"


def _spaced(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = [
        text.ljust(width) if place == 0 else text.rjust(width)
        for place, (text, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join([first, *rest])


def bar(share: float) -> str:
    """share: 0..1 of the full width, in eighths of a letter; never nothing."""
    eighths = max(1, round(min(1.0, max(0.0, share)) * _BAR * 8))
    whole, part = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[part] if part else "")


def figures(row: Row, *, model: str, sha256: str) -> Iterator[dict[str, Any]]:
    """name, value, unit of each, and what it is of; one object with `problem` where nothing was measured."""
    found = row.measured
    of = {"model": model, "sha256": sha256, "delegate": row.delegate, "threads": row.threads}
    if found.invoke is None or found.whole is None:
        yield {**of, "name": "problem", "problem": found.problem}
        return
    of |= {"runtime": found.runtime, "ran_on": found.delegate, "decoder": found.decoder}
    if found.degraded:
        of["degraded"] = found.degraded
    for name, one in (("invoke", found.invoke), ("whole", found.whole)):
        for key in ("p50_ms", "p90_ms", "p99_ms", "mean_ms"):
            what = key.removesuffix("_ms")
            yield {
                **of,
                "name": f"{name} {what}",
                "value": round(getattr(one, key), 4),
                "unit": "ms",
                "queries": one.queries,
            }
        yield {
            **of,
            "name": f"{name} rate",
            "value": round(1000 / one.mean_ms, 2),
            "unit": "1/s",
            "queries": one.queries,
        }
    yield {**of, "name": "cold load", "value": round(found.load_ms, 1), "unit": "ms"}
    yield {**of, "name": "RSS", "value": found.rss_bytes, "unit": "bytes"}
