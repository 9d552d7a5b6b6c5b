"""A C compiler for the firmware, where this machine has none: ziglang from PyPI, by its hash, into this environment; no root."""

import subprocess
import sys
from pathlib import Path

from agent.problems import Problem
from firmware_bridge.build import can_build

LOCK = Path(__file__).parent / "compiler.lock"
_LIMIT_S = 600.0


def ensure_compiler() -> None:
    """Nothing to do where cc, or QEMU with a compiler for its board, is installed. Problem: it cannot be had."""
    if can_build():
        return
    print("demo: no C compiler here; installing ziglang (100 MB) into this environment, once", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r", str(LOCK)]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=_LIMIT_S, check=False)
    if done.returncode != 0 or not can_build():
        raise Problem(
            where="demo",
            what="the firmware wants a C compiler, and ziglang could not be installed",
            remedy="Install one: sudo apt-get install --no-install-recommends gcc libc6-dev",
        )
