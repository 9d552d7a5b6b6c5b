"""Measure a model on this machine: latencies by delegate and threads, cold load and memory, each configuration in a process of its own.

Single stream as MLPerf defines it: a query is issued when the former is done; the 90th percentile (p90) is the score. The bare run of the model
takes turns with the whole way from a frame of 640 × 480 in hand to results. Exit 3 when the model runs nowhere.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent.cli._seconds import seconds
from agent.oneshot.settings import add_model_arguments

if TYPE_CHECKING:
    from agent.bench.measure import Measured
    from agent.bench.table import Row
    from agent.inference.model import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser, one_run=False)
    parser.add_argument(
        "--delegates",
        type=_names,
        metavar="LIST",
        help="which to measure, as gpu,xnnpack,cpu (left out: XNNPACK, CPU and the hardware found here)",
    )
    parser.add_argument(
        "--threads",
        dest="thread_counts",
        type=_counts,
        metavar="LIST",
        help="thread counts of the CPU, as 1,2,4 (left out: 1 and all cores)",
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=3.0,
        metavar="S",
        help="measure each configuration so long, and at least 100 queries",
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line, one a figure")


def run(arguments: argparse.Namespace) -> int:
    import json

    from agent.bench.table import figures, lines
    from agent.oneshot.looking import Looking
    from agent.oneshot.settings import model_config
    from agent.pipeline.models import file_digest
    from agent.problems import Exit

    config = model_config(arguments)
    with Looking(config, masks=False) as looking:
        kind = looking.wanted().kind
        looking.runner(
            kind
        )  # a model that is refused ends the command; one that passed its trial is loaded without one by the children
    digest = file_digest(config) or ""
    rows = []
    for row in _rows(arguments, config, kind):
        rows.append(row)
        if arguments.json:
            for figure in figures(row, model=looking.name, sha256=digest):
                print(json.dumps(figure, ensure_ascii=False), flush=True)
    if not arguments.json:
        good = next((row.measured for row in rows if row.measured.invoke is not None), None)
        if good is not None:
            print("\n".join(_heading(looking.name, digest, kind, good, arguments.seconds)))
        print("\n".join(lines(rows)))
    return Exit.DONE if any(row.measured.invoke is not None for row in rows) else Exit.MODEL


def _rows(arguments: argparse.Namespace, config: "Config", kind: str) -> Iterator["Row"]:
    """With a bar on a terminal's stderr."""
    import msgspec
    from tqdm import tqdm

    from agent.bench.children import measured_in_child
    from agent.bench.measure import Job
    from agent.bench.table import Row
    from agent.pipeline.models import trials_folder

    wanted = _configurations(arguments)
    with tqdm(wanted, disable=None, file=sys.stderr, leave=False) as progress:
        for delegate, threads in progress:
            progress.set_description(f"{delegate}, {threads} thread{'s' if threads > 1 else ''}")
            one = msgspec.structs.replace(config, delegates=(delegate,), threads=threads)
            job = Job(
                config=one,
                kind="frame" if kind == "frame" else "window",
                seconds=arguments.seconds,
                cache=trials_folder(),
            )
            yield Row(delegate=delegate, threads=threads, measured=measured_in_child(job))


def _configurations(arguments: argparse.Namespace) -> list[tuple[str, int]]:
    """Threads matter on the CPU only."""
    from agent.inference.turns import own_cores

    delegates = arguments.delegates or _found_here()
    counts = arguments.thread_counts or sorted({1, own_cores()})
    return [
        (delegate, count)
        for delegate in delegates
        for count in (counts if delegate in ("xnnpack", "cpu") else counts[:1])
    ]


def _found_here() -> list[str]:
    from agent.inference.delegates import find

    findings = [find(name, {}) for name in ("gpu", "edgetpu")]
    return ["xnnpack", "cpu", *(finding.name for finding in findings if finding.why is None)]


def _heading(name: str, digest: str, kind: str, found: "Measured", wanted_s: float) -> Iterator[str]:
    from agent.bench.measure import FRAME_PX, LEAST_QUERIES

    whole = f"a frame of {FRAME_PX[0]} × {FRAME_PX[1]} in hand" if kind == "frame" else "a window in hand"
    yield f"{name}  sha256 {digest[:12]}…  {found.runtime}  decoder {found.decoder}"
    yield f"single stream: each query when the former is done; at least {wanted_s:g} s and {LEAST_QUERIES} queries; milliseconds, the score is p90"
    yield f"p50 to mean, runs/s: the model alone; whole: {whole} → results; cold load: file → first result in a fresh process"
    yield ""


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("names no delegate")
    return names


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if not all(1 <= count <= 64 for count in counts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of thread counts of 1 to 64, as 1,2,4")
    return counts
