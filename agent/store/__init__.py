"""The store: every SQL statement of the agent, and the only truth on the device.

Takes   Jobs, functions `(Transaction) -> None`, by `Store.submit` (writer.py): `lane_rows.lane_second_job`, `lane_rows.clock_job`, and
        those of sync built from items.py. Hooks, functions of the same form, run inside each group before its commit.
Gives   Rows (schema.py) to everything right of it, in read snapshots: `Store.read`, reader.py, items.py, vitals.py, export.py. A ticket's
        `wait` returns, and `report` is called, after the commit is on the medium.
Threads One connection writes, the store thread's (writer.py, thread.py, group.py). Lanes never wait on a ticket; a store that is behind
        holds them back. Any thread may read.
Fails   Problem (STORE) from `open_store`: folder locked, read-only, full, newer schema; a damaged database is set aside and recovered
        (recovery.py). A job's own failure reaches its ticket only; a hook's is undone alone, is in `faults` and tried again hourly. A full disk
        or a failing write undoes the group: its tickets say so, its inputs are counted as `unstored`, owed to the lane's next tick, and the
        thread goes on. Damage, or a minute without a write that succeeds, ends the thread: `submit` and `check` raise. Near its bounds old
        rows go (retention.py); below `keep_free` results are left out: their inputs count as dropped, ticks and events are still stored.
Add one (a table or column) as a step in migrations.LATER, with schema.VERSION one higher; steps are never changed afterwards.

Files in the data folder: edge.sqlite, lock (the process that runs on it), anchor.json (reasons only), state.json (what `run` shows to
`status`; pipeline/run.py), reserve (1 MB for a full disk; reserve.py), edge.sqlite.damaged-N (set aside; aside.py), damaged (the last run
met damage: the next start looks at everything).
"""
