"""Fetches packages by the registries' own clients: `pip download` and `npm pack`.

The clients bring the user's proxy, index, certificates and credentials from the user's own settings; nothing of that is read here. Nothing is
installed and no script of a package is run: the package is a file out of which one member is read.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from agent.catalogue import Report
from agent.catalogue.entries import NpmSource, PypiSource
from agent.problems import Problem

LIMIT_S = 600.0
_POLL_S = 0.5
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def pip_command(source: PypiSource, folder: str, python: str) -> list[str]:
    """The whole command, also to be shown to a person who runs it on another machine."""
    command = [python, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    for platform in source.platforms:
        command += ["--platform", platform]
    if source.platforms:  # without them pip chooses the wheel of this machine
        command += [
            "--python-version",
            source.python_version,
            "--implementation",
            source.implementation,
            "--abi",
            source.abi,
        ]
    return [*command, "--dest", folder, f"{source.package}=={source.version}"]


def pip_download(
    source: PypiSource, folder: Path, report: Report, *, where: str, python: str, limit_s: float = LIMIT_S
) -> Path:
    """The wheel, in `folder`. Raises Problem: no pip in this environment, no such package or network, time over."""
    command = pip_command(source, str(folder), python)
    shown = " ".join(pip_command(source, ".", "python3"))
    by_hand = f"`{shown}` where there is pip, then `edge-agent models fetch NAME --from FILE.whl`"
    code, output = _run(
        command,
        f"pip download {source.package} {source.version}",
        report,
        where=where,
        limit_s=limit_s,
        by_hand=by_hand,
    )
    if code != 0 and re.search(r"No module named pip\b", output):
        raise Problem(
            where=where,
            what=f"there is no pip in this environment ({python})",
            remedy=f"Run `{python} -m ensurepip`, or {by_hand}",
        )
    if code != 0:
        raise Problem(
            where=where,
            what=f"pip could not download it: {_reason(output, 'ERROR:')}",
            remedy=f"Check network and index, or {by_hand}",
        )
    return _only_file(folder, where)


def npm_pack(
    source: NpmSource, folder: Path, report: Report, *, where: str, npm: str | None = None, limit_s: float = LIMIT_S
) -> Path:
    """The package's .tgz, in `folder`. Raises Problem: no npm, no such package or network, time over."""
    npm = npm or shutil.which("npm")
    name = f"{source.package}@{source.version}"
    by_hand = f"`npm pack {name}` where there is npm, then `edge-agent models fetch NAME --from FILE.tgz`"
    if npm is None:
        raise Problem(where=where, what="there is no npm on this machine", remedy=f"Install npm, or {by_hand}")
    command = [npm, "pack", name, "--ignore-scripts", "--pack-destination", str(folder)]
    code, output = _run(command, f"npm pack {name}", report, where=where, limit_s=limit_s, by_hand=by_hand)
    if code != 0:
        raise Problem(
            where=where,
            what=f"npm could not fetch it: {_reason(output, 'npm error', 'npm ERR!')}",
            remedy=f"Check network and registry, or {by_hand}",
        )
    return _only_file(folder, where)


def _run(
    command: Sequence[str], step: str, report: Report, *, where: str, limit_s: float, by_hand: str
) -> tuple[int, str]:
    """Exit code and all output. The client gets no terminal, so that it cannot wait for an answer."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise Problem(
            where=where, what=f"{command[0]} cannot be started: {error.strerror}", remedy=f"Put it right, or {by_hand}"
        ) from error
    with process:
        try:
            for _ in range(max(1, round(limit_s / _POLL_S))):
                report(step, 0)
                try:
                    output, _none = process.communicate(timeout=_POLL_S)
                except subprocess.TimeoutExpired:
                    continue
                return process.returncode, output
        finally:
            process.kill()
    raise Problem(where=where, what=f"{step} took longer than {limit_s:g} s", remedy=f"Try again, or {by_hand}")


def _reason(output: str, *marks: str) -> str:
    """The client's own lines of error; addresses without user and password."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith(marks) and "complete log" not in line] or lines[-1:]
    for mark in marks:
        marked = [line.removeprefix(mark).strip() for line in marked]
    return _CREDENTIALS.sub("", "; ".join(filter(None, marked)) or "it said nothing")[:400]


def _only_file(folder: Path, where: str) -> Path:
    files = sorted(folder.iterdir())
    if len(files) != 1 or not files[0].is_file():
        raise Problem(
            where=where, what=f"the client left {len(files)} files where one was asked for", remedy="Try again"
        )
    return files[0]
