"""Pipeline: the only room, beside `config` and `cli`, that names every stage.

`lane.Loop` handles one record; `live.Live` turns an open source into the records a lane takes, ticks among them; `build` makes lanes of a
config; `supervisor` starts, watches and restarts them; `recorder` writes what lanes took; `replay` runs a recording through the same loops.

Takes   a config (`agent.config.read.Loaded`) and an open store.
Gives   LaneSecond jobs to the store.
Threads a capture thread and a lane thread for every lane; the supervisor runs on the caller's.
Fails   Problem at start for what cannot heal (data folder, every model of every lane); what can heal is retried and told by `state.json`.
Add one (a stage) a line in `lane.Loop`, its config in `config/file.py`, its opening in `build`.
"""
