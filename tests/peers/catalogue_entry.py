"""Entries of a catalogue for tests, from the content that they shall have, and packages made by hand that hold it."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

from agent.catalogue.entries import Entry, HttpsSource, NpmSource, PypiSource, Source

MODEL = b"a model, of a kind " * 500
MEMBER = "tiny/model.tflite"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry_of(*source: Source, name: str = "thing", size_bytes: int | None = len(MODEL)) -> Entry:
    return Entry(
        name=name,
        kind="model",
        task="test",
        file=f"{name}.tflite",
        licence="CC0-1.0",
        source=source,
        size_bytes=size_bytes,
    )


def pypi(
    content: bytes = MODEL,
    *,
    member: str = MEMBER,
    package: str = "tiny",
    platforms: tuple[str, ...] = ("manylinux_2_17_x86_64",),
) -> PypiSource:
    return PypiSource(package=package, version="1.0", member=member, sha256=sha256(content), platforms=platforms)


def npm(content: bytes = MODEL, *, member: str = "package/model.tflite") -> NpmSource:
    return NpmSource(package="tiny", version="1.0.0", member=member, sha256=sha256(content))


def https(url: str, content: bytes = MODEL, *, member: str | None = None) -> HttpsSource:
    return HttpsSource(url=url, sha256=sha256(content), member=member)


def wheel(folder: Path, members: dict[str, bytes]) -> Path:
    """tiny 1.0, a wheel for any machine, made by hand."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    path.write_bytes(wheel_bytes(members))
    return path


def wheel_bytes(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        files.writestr(
            "tiny-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        files.writestr("tiny-1.0.dist-info/RECORD", "")
        for name, content in members.items():
            files.writestr(name, content)
    return packed.getvalue()


def tarball(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """An npm package; links: members that are symbolic links."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as files:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            files.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            files.addfile(info)
    return packed.getvalue()
