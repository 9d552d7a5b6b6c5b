"""Config: one TOML file and its overlays → typed tables, or every mistake at once. Above the stages: it knows the `Config` of each.

Takes   the path of the file; the environment; where the machine's own names are read (an argument, "/" outside tests).
Gives   `read.read(path) -> Loaded`: the typed `file` (file.py), its `digest`, `where(key)` for Problems.
        `read.examine` for `check`: also what the machine lacks (machine.py), and not as an exception.
Threads the caller's, once, at start. Imports no OpenCV, NumPy or LiteRT; lines.py only when there is something to report.
Fails   Problems with Exit.CONFIG, sorted as the file is: `yard.toml:14 lane.yard.source.url: what. Remedy.` A secret is in none of them.
Add one a key: a field with a description in the `Config` of the file that obeys it; it is then checked, and in docs/reference/config.md and
        docs/schemas/config.json after `make docs`. A check of one key against another: check.py. A table: a field of file.py.
"""
