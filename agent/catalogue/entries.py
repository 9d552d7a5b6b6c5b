"""What the catalogue holds: typed entries, read from models/catalogue.toml.

The one file stands in models/ and is linked as agent/catalogue/catalogue.toml, so that it is found beside this code in a checkout as well as
after installation (package data follows the link). Models of our own lie beside it in the same way.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.problems import Problem
from agent.values import NAME_PATTERN

CATALOGUE = Path(__file__).with_name("catalogue.toml")

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
GitBlob = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}$")]
# What is handed to a client as one word of its command line, so never an option.
Package = Annotated[str, Meta(pattern=r"^@?[A-Za-z0-9][A-Za-z0-9._/-]*$")]
Version = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$")]
Tag = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$")]
MAX_BYTES = 200_000_000  # of one file where the entry does not say its size


class PypiSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="pypi"):
    """A member of a wheel, which `python -m pip download` fetches; platforms and the rest name one wheel for every machine."""

    package: Package
    version: Version
    member: str
    sha256: Sha256
    platforms: tuple[Tag, ...] = ()
    python_version: Version = "3.11"
    implementation: Tag = "cp"
    abi: Tag = "cp311"


class NpmSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="npm"):
    """A member of a package, which `npm pack` fetches."""

    package: Package
    version: Version
    member: str
    sha256: Sha256


class HttpsSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="https"):
    """A file, or with `member` one file of a .whl, .zip, .tgz or .tar.gz."""

    url: Annotated[str, Meta(pattern=r"^https://")]
    sha256: Sha256
    member: str | None = None


class FileSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="file"):
    """`path`: shipped, beside the catalogue. `origin`: where a person gets it, to hand it in by `--from`; pinned by sha256 or git blob id."""

    path: FileName | None = None
    origin: str | None = None
    sha256: Sha256 | None = None
    git_blob: GitBlob | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.origin is None):
            raise ValueError("a file source has either `path` or `origin`")
        if (self.sha256 is None) == (self.git_blob is None):
            raise ValueError("a file source has either `sha256` or `git_blob`")


Source = PypiSource | NpmSource | HttpsSource | FileSource


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. labels: the texts, comma separated, `in the file`, or the entry that holds them. size_bytes: of the first source's file."""

    name: Name = ""
    kind: Literal["model", "picture", "labels"]
    task: str
    file: FileName
    licence: str
    source: Annotated[tuple[Source, ...], Meta(min_length=1)]
    size_bytes: Annotated[int, Meta(gt=0)] | None = None
    input: str | None = None
    labels: str | None = None
    decoder: str | None = None
    note: str | None = None

    @property
    def digests(self) -> tuple[str, ...]:
        """`sha256:…` or `git:…` of every source; a file with any of them is this entry."""
        return tuple(digest_of(source) for source in self.source)

    @property
    def shipped(self) -> Path | None:
        """Where a model of our own lies."""
        return next(
            (
                CATALOGUE.with_name(source.path)
                for source in self.source
                if isinstance(source, FileSource) and source.path
            ),
            None,
        )

    @property
    def by_hand(self) -> bool:
        """No source that a program can fetch from."""
        return self.shipped is None and all(isinstance(source, FileSource) for source in self.source)

    @property
    def max_bytes(self) -> int:
        """What is larger is not this entry: four times its size leaves room for a second source's form of it."""
        return 4 * self.size_bytes if self.size_bytes else MAX_BYTES


class _Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    entry: dict[Name, Entry]


def digest_of(source: Source) -> str:
    if isinstance(source, FileSource) and source.git_blob:
        return f"git:{source.git_blob}"
    return f"sha256:{source.sha256}"


@cache
def entries() -> Mapping[str, Entry]:
    """The catalogue, by name; read once. Raises Problem as `read_entries`."""
    return read_entries(CATALOGUE)


def read_entries(path: Path) -> dict[str, Entry]:
    """Entries of a catalogue file, by name. Raises Problem: absent, no TOML, an entry that is not of the form."""
    try:
        catalogue = msgspec.toml.decode(path.read_bytes(), type=_Catalogue)
    except OSError as error:
        raise Problem(
            where=str(path), what=f"the catalogue cannot be read: {error.strerror}", remedy="Install edge-agent again"
        ) from error
    except (ValueError, msgspec.ValidationError) as error:
        raise Problem(
            where=str(path), what=f"the catalogue is not of its form: {error}", remedy="Put the line right"
        ) from error
    return {name: msgspec.structs.replace(entry, name=name) for name, entry in catalogue.entry.items()}


def find(name: str, known: Mapping[str, Entry]) -> Entry:
    """The entry of that name. Raises Problem that names the nearest ones."""
    if name in known:
        return known[name]
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(sorted(known))}"
    raise Problem(where=f"catalogue {name!r}", what="the catalogue has no such entry", remedy=remedy)
