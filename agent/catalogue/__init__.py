"""The catalogue: which model files, pictures and labels are known, where they come from, and by which digest they are trusted.

Takes   models/catalogue.toml (installed beside this file), names of entries.
Gives   `entries.entries()`, `fetch.cached(entry)`, `fetch.fetch(name)`: a path to a file whose digest was checked.
Threads the caller's; blocks for as long as a download takes, at most 10 minutes a source.
Fails   Problem: no such entry, source not reachable, client absent, member absent, too large, another digest (both named).
Add one (a source kind) a function in `_clients.py`, its Struct in `entries.py`, its line in `fetch.OBTAIN`.
"""
