"""Reads one named member out of a package: a .whl or .zip, a .tgz or .tar.gz. Nothing is unpacked to a path that an archive names."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from agent.problems import Problem


@contextmanager
def open_member(archive: Path, member: str, *, where: str) -> Iterator[IO[bytes]]:
    """The bytes of the one member of exactly that name, if it is a plain file. Raises Problem: absent, no archive, damaged."""
    try:
        if zipfile.is_zipfile(archive):
            with (
                zipfile.ZipFile(archive) as files,
                files.open(_named(files.namelist(), member, archive, where)) as stream,
            ):
                yield stream
        else:
            with tarfile.open(archive, "r:gz") as packed:
                info = packed.getmember(_named(packed.getnames(), member, archive, where))
                # A link would lead to another member, so only a plain file is read.
                content = packed.extractfile(info) if info.isreg() else None
                if content is None:
                    raise Problem(
                        where=where,
                        what=f"{member} in {archive.name} is no plain file",
                        remedy="Fetch it from another source",
                    )
                with content as stream:
                    yield stream
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise Problem(
            where=where, what=f"{archive.name} is damaged or no package: {error}", remedy="Fetch it again"
        ) from error


def _named(names: list[str], member: str, archive: Path, where: str) -> str:
    if names.count(member) == 1:
        return member
    what = f"{archive.name} has no member {member}" if member not in names else f"{archive.name} has {member} twice"
    raise Problem(where=where, what=what, remedy="Check package and version in models/catalogue.toml")
