"""The real npm against a loopback registry."""

import base64
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from peers.catalogue_entry import MODEL, entry_of, npm, tarball
from peers.certificates import Authority
from peers.https_server import HttpsServer

from agent.catalogue import clients, fetch
from agent.problems import Problem


@pytest.fixture
def registry(server: HttpsServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HttpsServer:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed (apt-get install --no-install-recommends npm)")
    settings = {
        "registry": server.url("/"), "cafile": str(authority.file), "cache": str(tmp_path / "npm"), "userconfig": str(tmp_path / "user"),
        "globalconfig": str(tmp_path / "global"), "fetch_retries": "0", "update_notifier": "false",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"npm_config_{name}", value)
    return server


def serve(registry: HttpsServer, package: bytes) -> None:
    integrity = f"sha512-{base64.b64encode(hashlib.sha512(package).digest()).decode()}"
    version = {
        "name": "tiny",
        "version": "1.0.0",
        "dist": {"tarball": registry.url("/tiny.tgz"), "integrity": integrity},
    }
    registry.files["/tiny"] = json.dumps(
        {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    ).encode()
    registry.files["/tiny.tgz"] = package


def test_npm_fetches_the_named_member(registry: HttpsServer, tmp_path: Path) -> None:
    manifest = json.dumps({"name": "tiny", "version": "1.0.0"}).encode()
    serve(registry, tarball({"package/package.json": manifest, "package/model.tflite": MODEL}))
    assert fetch.fetch_entry(entry_of(npm()), tmp_path).read_bytes() == MODEL


def test_no_such_package(registry: HttpsServer, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"npm could not fetch it: .*404") as caught:
        fetch.fetch_entry(entry_of(npm()), tmp_path)
    assert "npm pack tiny@1.0.0" in caught.value.remedy


def test_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="no npm on this machine") as caught:
        fetch.fetch_entry(entry_of(npm()), tmp_path)
    assert "npm pack tiny@1.0.0" in caught.value.remedy


def test_a_client_that_hangs_is_ended(tmp_path: Path) -> None:
    script = tmp_path / "npm"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    with pytest.raises(Problem, match=r"took longer than 0\.5 s"):
        clients.npm_pack(npm(), tmp_path, fetch.unreported, where="here", npm=str(script), limit_s=0.5)
