"""Bench: how fast a model runs on this machine, by delegate and count of threads (`edge-agent bench`).

Takes   a model with the keys of a `[lane.X.model.Y]` table, delegates, thread counts, seconds.
Gives   figures: latencies, runs a second, cold load, memory; as a table with bars or a JSON line a figure.
Threads the caller's; each configuration is measured in a child process of its own, so that none spoils another and a driver may crash.
Fails   Problem with Exit.MODEL when the model can be measured nowhere; a delegate that refuses or crashes is a line of the table.
"""
