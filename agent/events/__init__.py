"""Events: what a lane's detections mean: rules that begin and cease to hold.

Tracker which detection is which object, from input to input (tracker.py): numbers in `Detections.tracks`, before the rules see them.
Takes   Inference records of one lane in order, the rules that name it, the zones' polygons.
Gives   Event records (phase start, end). A pure function of the records: it asks no clock.
Threads the lane thread.
Fails   never by data.
Add one (a rule key) in `rules.py`, with its line in docs/reference/config.md made by `make docs`.
"""
