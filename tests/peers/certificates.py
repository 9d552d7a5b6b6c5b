"""Real certificates made by the openssl command: a CA and what it signs. Skips the test where openssl is not installed.

ca = Authority(tmp_path / "ca")
good = ca.issue("broker", names=["DNS:localhost", "IP:127.0.0.1"])      # (certificate file, key file)
old = ca.issue("old", names=["DNS:localhost"], days=-1)                 # expired yesterday
"""

import shutil
import subprocess
from pathlib import Path

import pytest

LIMIT_S = 20


class Authority:
    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed (apt-get install --no-install-recommends openssl)")
        folder.mkdir(parents=True)
        self.folder = folder
        self.file = folder / "ca.pem"
        self._key = folder / "ca.key"
        _run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(self._key))
        _run(
            "req",
            "-x509",
            "-new",
            "-key",
            str(self._key),
            "-subj",
            f"/CN={folder.name}",
            "-days",
            "2",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",  # Python 3.13 and newer ask for it
            "-out",
            str(self.file),
        )

    def issue(self, name: str, *, names: list[str], days: int = 1) -> tuple[Path, Path]:
        """names: subject alternative names. days: how long it is valid from now; negative: since when no longer."""
        certificate, key, request = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName={','.join(names)}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        )
        _run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
        _run("req", "-new", "-key", str(key), "-subj", f"/CN={name}", "-out", str(request))
        _run(
            "x509", "-req", "-in", str(request), "-CA", str(self.file), "-CAkey", str(self._key), "-CAcreateserial",
            "-days", str(days), "-extfile", str(extensions), "-out", str(certificate),
        )  # fmt: skip
        key.chmod(0o644)  # a broker that gives up root still has to read it
        return certificate, key


def _run(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=LIMIT_S)
