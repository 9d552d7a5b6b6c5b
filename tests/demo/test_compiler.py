"""The firmware where no C compiler is installed: ziglang, by its hash, into an environment of its own. About 100 MB from the index."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

PROJECT = Path(__file__).parent.parent.parent
# What a machine without compilers still has, as far as the firmware's Makefile wants it.
TOOLS = ("make", "sh", "mkdir", "rm", "cp", "cat", "test", "env", "dirname", "basename")

CODE = """
import sys, pathlib
from demo.compiler import ensure_compiler
from firmware_bridge.build import build_arm, build_native, can_build
assert not can_build()
ensure_compiler()
folder = pathlib.Path(sys.argv[1])
print(build_native(folder), build_arm(folder))
"""


@pytest.mark.long
def test_both_images_are_built_by_ziglang(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        if (found := shutil.which(tool)) is not None:
            (tools / tool).symlink_to(found)
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=120)
    site = tmp_path / "site"  # of the packages here only what building imports: ziglang may be installed already
    site.mkdir()
    (site / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    environment = {
        **os.environ,
        "PATH": str(tools),
        "PYTHONPATH": f"{PROJECT}{os.pathsep}{site}",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [venv / "bin" / "python", "-c", CODE, str(tmp_path / "out")],
        env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if "ziglang could not be installed" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr[-2000:]
    program, image = (Path(word) for word in done.stdout.split())
    samples = subprocess.run(
        [program, "--samples", "100", "--seed", "1"], capture_output=True, check=True, timeout=60
    ).stdout
    assert len(samples) == 100 * 3 * 2
    assert image.read_bytes()[:4] == b"\x7fELF"
