"""Doctor: named checks of this machine and, with a config, of what that wants of it (`edge-agent doctor`).

Takes   a config, or none; looks at what is installed and plugged in; runs models in child processes. Asks nobody on the network.
Gives   Check: name, state, what was found, a remedy where there is something to do.
Threads the caller's.
Fails   never: what goes wrong is a check that says so.
Add one a function `() -> Check` or `(…) -> Iterator[Check]` in the file of its subject, and its line in `every.py`.
"""

from typing import Any, Literal

import msgspec

# ok; warn: it works, but not as well as it could; fail: something that was asked for does not work; absent: not there, and nobody asks for it.
State = Literal["ok", "warn", "fail", "absent"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """facts: the same for programs, where there is more to say than a line."""

    name: str
    state: State
    found: str
    remedy: str | None = None
    facts: dict[str, Any] = {}
