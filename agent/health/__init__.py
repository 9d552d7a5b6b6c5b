"""Health: what the machine says of itself.

Takes   the folders of /sys and /proc (arguments, so that a test has its own), and the folder whose disk is meant.
Gives   `readings.read(…) -> Readings`: temperature, throttling, memory, disk. What a machine does not have is None.
Threads any.
Fails   never: what cannot be read is None.
Add one (a reading) a field of `Readings`, a function beside the others, its key in messages/health.py.
"""
