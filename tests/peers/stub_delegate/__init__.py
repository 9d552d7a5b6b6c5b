"""An external delegate in C that works, or fails as its options say (stub_delegate.c), built with the machine's compiler.

Delegate(library=str(build(tmp_path)), options={"how": "crash", "at": "invoke", "after": 3})
"""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("stub_delegate.c")


def build(folder: Path) -> Path:
    """The library; skips the test where there is no C compiler."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) for the stub delegate")
    library = folder / "libstub_delegate.so"
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1", "-o", library, SOURCE]
    subprocess.run(command, check=True, timeout=60)
    return library
