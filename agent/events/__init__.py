"""Events: what a lane's detections mean: who is who, who crosses and stays where, rules that begin and cease to hold.

Follow  following.py: trackers by model (tracker.py: numbers in `Detections.tracks`) and counting (counting.py, places.py: rows of who is born, enters,
        leaves, crosses), and their state over a restart.
Takes   Inference records of one lane in order; the rules that name it (rules.py), its zones and lines (settings.py).
Gives   Crossing records, each once; Event records (phase start, end). A pure function of the records: it asks no clock.
Show    snapshots.py keeps the pictures of events, privacy.py says what on them is hidden, or that they are not kept.
Threads the lane thread; snapshots are written on a thread of their own.
Fails   never by data.
Add one (a rule key) in `rules.py`, with its line in docs/reference/config.md made by `make docs`.
"""
