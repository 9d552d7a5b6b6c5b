"""The catalogue: which model files, pictures and labels are known, where they come from, and by which digest they are trusted.

Takes   models/catalogue.toml (installed beside this file), names of entries.
Gives   `entries.entries()`, `fetch.cached(entry)`, `fetch.fetch(name)`: a path to a file whose digest was checked.
Threads the caller's; blocks for as long as a download takes, at most 10 minutes a source.
Fails   Problem: no such entry, source not reachable, client absent, member absent, too large, another digest (both named).
Add one (a source kind) a Struct in `entries.py`, a file or function that gives a Path, its branch in `fetch._obtain`.
"""

from collections.abc import Callable

# What is being done, and how many bytes are done; called at least twice a second while a client runs.
Report = Callable[[str, int], None]
