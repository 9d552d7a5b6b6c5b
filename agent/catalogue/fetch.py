"""Fetches an entry of the catalogue into the cache, and finds it there: $XDG_CACHE_HOME/edge-agent/models/SHA256/FILE.

A file comes into the cache only after its digest was found right: written beside, forced to the medium, then renamed. What lies there is
checked again whenever it is looked for; a damaged file counts as absent and is replaced by the next fetch.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from agent.catalogue import Report
from agent.catalogue.entries import (
    CATALOGUE,
    MAX_BYTES,
    Entry,
    FileSource,
    HttpsSource,
    NpmSource,
    PypiSource,
    Source,
    digest_of,
    entries,
    find,
)
from agent.problems import Problem, Problems

_CHUNK_BYTES = 1 << 20


def unreported(_step: str, _done_bytes: int) -> None:
    """For who wants no progress."""


def cache_folder() -> Path:
    """Where fetched files lie; it need not exist yet."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(named) if named.startswith("/") else Path.home() / ".cache"
    return root / "edge-agent" / "models"


def cached(entry: Entry) -> Path | None:
    """The entry's file with the right digest: shipped, or in the cache; None: fetch it."""
    if entry.shipped is not None and _digest_matches(entry.shipped, entry.digests):
        return entry.shipped
    for digest in entry.digests:
        kind, _, text = digest.partition(":")
        places = [cache_folder() / text] if kind == "sha256" else sorted(cache_folder().glob("*"))
        for place in places:
            if _digest_matches(place / entry.file, (digest,)):
                return place / entry.file
    return None


def by_sha256(digest: str) -> Path | None:
    """A shipped or cached file of that digest, whatever its name: how a recording finds the models it ran with."""
    for entry in entries().values():
        if f"sha256:{digest}" in entry.digests and (path := cached(entry)) is not None and path_sha256(path) == digest:
            return path
    folder = cache_folder() / digest
    return next((path for path in sorted(folder.glob("*")) if path_sha256(path) == digest), None)


def fetch(name: str, report: Report = unreported) -> Path:
    """The file of the entry of that name: from the cache, else from its sources in order.

    Raises Problem (no such entry; another digest, both named; no source) or Problems (one a source that failed).
    """
    entry = find(name, entries())
    with workspace() as folder:
        return fetch_entry(entry, folder, report)


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder for downloads; entries that are fetched into one share a package that holds them both."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="edge-agent-fetch-") as folder:
        yield Path(folder)


def fetch_entry(entry: Entry, folder: Path, report: Report = unreported, *, python: str = sys.executable) -> Path:
    """As `fetch`, with downloads in `folder`; python: whose pip is asked."""
    if (path := cached(entry)) is not None:
        return path
    problems = []
    for source in entry.source:
        where = f"catalogue {entry.name!r} ({_described(source)})"
        try:
            got = _obtain(entry, source, folder, report, where=where, python=python)
        except Problem as problem:  # this source cannot be reached: the next may
            problems.append(problem)
            continue
        # When what this source gave is wrong, no other is asked: somebody shall look.
        path = _take_in(entry, (digest_of(source),), got, getattr(source, "member", None), where)
        report(_described(source), path.stat().st_size)
        return path
    raise problems[0] if len(problems) == 1 else Problems(problems)


def take(entry: Entry, given: Path) -> Path:
    """A file, or a package that holds it, which somebody copied here by hand: into the cache, if a digest of the entry is its own."""
    where = f"catalogue {entry.name!r} ({given})"
    if not given.is_file():
        raise Problem(where=where, what="there is no such file", remedy=f"Copy it here first: {origin(entry)}")
    packages = [
        source for source in entry.source if isinstance(source, PypiSource | NpmSource | HttpsSource) and source.member
    ]
    if given.suffix in {".whl", ".zip", ".tgz", ".gz"} and packages:
        wanted = {".whl": PypiSource, ".tgz": NpmSource}.get(given.suffix, HttpsSource)
        chosen = next((source for source in packages if isinstance(source, wanted)), packages[0])
        return _take_in(entry, (digest_of(chosen),), given, chosen.member, where)
    return _take_in(entry, entry.digests, given, None, where)


def origin(entry: Entry) -> str:
    """Where the entry comes from, for people."""
    return "; or ".join(_described(source) for source in entry.source)


def path_sha256(path: Path) -> str | None:
    """Hex digest; None where there is no readable file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _obtain(entry: Entry, source: Source, folder: Path, report: Report, *, where: str, python: str) -> Path:
    """A file on this machine that is the entry or holds it. Raises Problem when the source cannot give it."""
    import tempfile

    from agent.catalogue import clients, https  # `check` looks into the cache only

    if isinstance(source, FileSource):
        if source.path is not None:
            return CATALOGUE.with_name(source.path)
        remedy = f"Copy it here by hand, then: edge-agent models fetch {entry.name} --from {entry.file}"
        raise Problem(where=where, what="it is not fetched here: no package registry has it", remedy=remedy)
    package = {key: value for key, value in msgspec.structs.asdict(source).items() if key not in {"member", "sha256"}}
    place = folder / hashlib.sha256(f"{type(source).__name__} {package}".encode()).hexdigest()[:16]
    if place.is_dir() and (files := list(place.iterdir())):
        return files[0]  # an earlier entry came out of the same package
    downloading = Path(tempfile.mkdtemp(dir=folder))
    if isinstance(source, PypiSource):
        got = clients.pip_download(source, downloading, report, where=where, python=python)
    elif isinstance(source, NpmSource):
        got = clients.npm_pack(source, downloading, report, where=where)
    else:
        max_bytes = entry.max_bytes if source.member is None else MAX_BYTES
        got = https.download(source.url, downloading / "download", report, where=where, max_bytes=max_bytes)
    downloading.rename(place)
    return place / got.name


def _take_in(entry: Entry, digests: tuple[str, ...], got: Path, member: str | None, where: str) -> Path:
    """Copies the file, or the member of a package, into the cache if its digest is one of `digests`. Raises Problem otherwise."""
    import tempfile

    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=cache_folder(), prefix=".coming-")
        coming = Path(name)
        try:
            with os.fdopen(handle, "wb") as file, _opened(got, member, where) as stream:
                _copy(stream, file, entry.max_bytes, where)
                file.flush()
                os.fsync(file.fileno())
            if not _digest_matches(coming, digests):
                raise _mismatch(coming, digests, where)
            target = cache_folder() / (path_sha256(coming) or "") / entry.file
            target.parent.mkdir(exist_ok=True)
            coming.chmod(0o644)
            return coming.replace(target)
        finally:
            coming.unlink(missing_ok=True)
    except OSError as error:
        remedy = "XDG_CACHE_HOME names another place for the cache"
        raise Problem(
            where=where, what=f"{error.filename or cache_folder()}: {error.strerror}", remedy=remedy
        ) from error


@contextmanager
def _opened(got: Path, member: str | None, where: str) -> Iterator[IO[bytes]]:
    from agent.catalogue.archives import open_member

    with open_member(got, member, where=where) if member else got.open("rb") as stream:
        yield stream


def _copy(stream: IO[bytes], file: IO[bytes], max_bytes: int, where: str) -> None:
    done = 0
    while chunk := stream.read(_CHUNK_BYTES):
        done += len(chunk)
        if done > max_bytes:
            raise Problem(
                where=where,
                what=f"the file is larger than the {max_bytes} bytes allowed",
                remedy="Check that it is the right file",
            )
        file.write(chunk)


def _digest_matches(path: Path, digests: tuple[str, ...]) -> bool:
    return any(_digest(path, digest.partition(":")[0]) == digest for digest in digests)


def _digest(path: Path, kind: str) -> str | None:
    """`sha256:…`, or `git:…`: the id that git gives the file's content (SHA-1 over "blob", size, NUL and the bytes)."""
    try:
        with path.open("rb") as file:
            if kind == "sha256":
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
            while chunk := file.read(_CHUNK_BYTES):
                blob.update(chunk)
            return f"git:{blob.hexdigest()}"
    except OSError:
        return None


def _mismatch(path: Path, digests: tuple[str, ...], where: str) -> Problem:
    found = ", ".join(sorted({_digest(path, digest.partition(":")[0]) or "" for digest in digests}))
    remedy = "Do not use it: the file was changed on its way, or is another version. Ask who runs the mirror, or fetch it elsewhere"
    return Problem(where=where, what=f"the file has {found}, the catalogue says {' or '.join(digests)}", remedy=remedy)


def _described(source: Source) -> str:
    if isinstance(source, FileSource):
        return source.origin or "shipped with edge-agent"
    if isinstance(source, HttpsSource):
        return source.url
    return f"{'pypi' if isinstance(source, PypiSource) else 'npm'} {source.package} {source.version}"
