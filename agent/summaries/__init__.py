"""Summaries: what is sent in place of every result: sums over UTC windows, and one item an event.

Takes   the rows of the running group and all before it (ticks, results, events, clock, epoch, grain), and what no row says (config and
        model digests, units, which lanes are video).
Gives   hooks for `store.open_store`: `rollup.hook(…)` closes windows, `event_items.hook()` makes items of events. Both append items and
        their marks in the transaction of the rows that made them due: one commit, one fate.
        Content is a pure function of rows: it does not depend on how commits were grouped, nor on when the agent was killed.
        A tick belongs to the window that holds its last microsecond, and its results and counts go with it (`windows`). Windows are
        multiples of the grain since 1970 UTC; consecutive ticks in one window are one item; none has rows of two epochs.
        `content.read` adds up the rows of a run; `bodies` writes them as `messages.summary`.
Threads the store thread only. What a hook remembers it can read again from the rows, and does when in doubt.
Fails   a lane's rows that do not add up: named in `transaction.faults`, tried again after an hour; the other lanes go on. sqlite3.Error
        goes to the store.
Add one (a key of the summary) in `content`, where it must merge by adding, and in `bodies`; the type in `messages/summary.py`.
"""
