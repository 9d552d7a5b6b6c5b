"""Each configuration in a child process: what it measured, or how it ended instead."""

import json
import signal
import subprocess
import sys

import msgspec

from agent.bench.measure import Job, Measured

# Our own paths and no others: a folder called agent in the working directory is not ours.
SCRIPT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from agent.bench import measure; sys.exit(measure.main())"
)
# Beyond what the measuring itself takes: the start of the process, a driver that compiles its kernels, a slow model's least queries.
MORE_S = 180.0


def measured_in_child(job: Job) -> Measured:
    """Never raises for what happens in the child: `problem` says it."""
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-c", SCRIPT, json.dumps(list(filter(None, sys.path)))],
            input=msgspec.json.encode(job, enc_hook=str),
            capture_output=True,
            timeout=2 * job.seconds + MORE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        return Measured(problem=f"hung: ended after {expired.timeout:.0f} s")
    if child.returncode < 0:
        return Measured(problem=f"crashed: {_signal(-child.returncode)}")
    try:
        return msgspec.json.decode(child.stdout.splitlines()[-1], type=Measured)
    except (IndexError, msgspec.MsgspecError):
        said = child.stderr.decode(errors="replace").strip().splitlines()
        return Measured(problem=f"ended with {child.returncode}: {said[-1] if said else 'it said nothing'}")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
