"""The machine: processor, clock, catalogue cache, data folder."""

import os
import platform
from pathlib import Path

from agent.clock import Clock
from agent.doctor import Check

# What makes int8 models fast, in the words of /proc/cpuinfo. (feature, what it is)
_INSTRUCTIONS = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "i8mm", "asimddp", "asimd", "neon")
_LITTLE = 1.0  # seconds of clock error that summaries and rules still bear


def cpu() -> Check:
    """Cores of this process, the best instructions for models, and whether XNNPACK runs: a small model of our own, in this process."""
    from agent.inference.turns import own_cores

    cores, all_cores = own_cores(), os.cpu_count() or 1
    known = _instructions()
    what = f"{cores} of {all_cores} cores" if cores < all_cores else f"{cores} core{'s' if cores > 1 else ''}"
    found = f"{what}, {platform.machine()}{' with ' + known[0] if known else ''}"
    facts = {"cores": cores, "machine": platform.machine(), "instructions": known}
    try:
        took_ms = _xnnpack_ms()
    except Exception as error:  # noqa: BLE001 - without a runtime, or on a processor that it does not know
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Check(
            name="cpu", state="fail", found=f"{found}; XNNPACK does not run: {why}", remedy="See `runtime`", facts=facts
        )
    return Check(
        name="cpu",
        state="ok",
        found=f"{found}; XNNPACK runs the model view in {took_ms:.2f} ms",
        facts={**facts, "xnnpack_view_ms": round(took_ms, 3)},
    )


def _instructions() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    flags = next(
        (line.partition(":")[2].split() for line in text.splitlines() if line.startswith(("flags", "Features"))), []
    )
    return [name for name in _INSTRUCTIONS if name in flags]


def _xnnpack_ms() -> float:
    """The fastest of a few runs of a shipped model."""
    import time

    from agent.catalogue.entries import entries
    from agent.inference import interpreter

    path = entries()["view"].shipped
    assert path is not None
    with interpreter.open_session(path.read_bytes(), delegates=("xnnpack",), where="view") as session:
        took = []
        for _ in range(10):
            began_ns = time.perf_counter_ns()
            session.run()
            took.append(time.perf_counter_ns() - began_ns)
    return min(took) / 1e6


def clock(system: Clock) -> Check:
    reading = system.reading()
    facts = {"source": reading.source, "error_ms": reading.error_ms}
    if not reading.known:
        return Check(
            name="clock",
            state="fail",
            found="the time is not known: results are stored without a date until it is",
            remedy="Start a time service: timedatectl set-ntp true, or give the board a clock battery",
            facts=facts,
        )
    if reading.source == "rtc" or reading.error_ms > _LITTLE * 1000:
        return Check(
            name="clock",
            state="warn",
            found=f"not synchronised: source {reading.source}, error {reading.error_ms / 1000:g} s or more",
            remedy="Start a time service: timedatectl set-ntp true, or chrony with a GNSS receiver where there is no network",
            facts=facts,
        )
    return Check(
        name="clock", state="ok", found=f"source {reading.source}, error at most {reading.error_ms} ms", facts=facts
    )


def catalogue() -> Check:
    """Where fetched models lie, and how many are there."""
    from agent.catalogue.entries import entries
    from agent.catalogue.fetch import cache_folder, cached
    from agent.problems import Problem

    folder = cache_folder()
    try:
        known = entries()
        here = [name for name, entry in known.items() if cached(entry) is not None]
    except Problem as problem:
        return Check(name="catalogue", state="fail", found=f"{problem.where}: {problem.what}", remedy=problem.remedy)
    found = f"{len(here)} of {len(known)} entries are here; cache {folder}"
    if _writable(folder):
        return Check(name="catalogue", state="ok", found=found, facts={"folder": str(folder), "here": here})
    return Check(
        name="catalogue",
        state="warn",
        found=f"{found}, which this user cannot write to",
        remedy="Set XDG_CACHE_HOME to a folder of this user",
        facts={"folder": str(folder), "here": here},
    )


def data_folder(folder: Path, keep_free_bytes: int) -> Check:
    """Whether the store can be written there, and how much is free."""
    from agent.store.folder import free_bytes, lock_holder

    above = _existing(folder)
    facts = {"folder": str(folder), "keep_free_bytes": keep_free_bytes}
    if not above.is_dir() or not _writable(folder):
        return Check(
            name="data folder",
            state="fail",
            found=f"{folder} cannot be written by this user" if above.is_dir() else f"{above} is no folder",
            remedy="Name another folder as `device.data`, or give it to the agent's user",
            facts=facts,
        )
    free, holder = free_bytes(above), lock_holder(folder)
    facts["free_bytes"] = free
    found = f"{folder}{'' if folder.exists() else ' (to be made)'}, {free / 1e6:,.0f} MB free{', in use by ' + holder if holder else ''}"
    if free < keep_free_bytes:
        return Check(
            name="data folder",
            state="fail",
            found=f"{found}, below store.keep_free ({keep_free_bytes / 1e6:.0f} MB): results are not stored",
            remedy="Make room, or lower store.keep_free",
            facts=facts,
        )
    return Check(name="data folder", state="ok", found=found, facts=facts)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _writable(folder: Path) -> bool:
    return os.access(_existing(folder), os.W_OK | os.X_OK)
