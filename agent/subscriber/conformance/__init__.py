"""Does another subscriber come to the same answers? Cases of the contract, given to a command of yours, in several orders.

    python -m agent.subscriber.conformance -- my-subscriber --from-stdin

Takes   a command. It is started once a case and order, reads lines from its standard input until that ends, and prints one JSON object.
        A line is {"topic": "…", "payload": "<base64>"}: a message as it came; the same one may come more than once.
Gives   what it should have printed, and did not. The object: {"devices": {"site/name": {…}}} with, of each device,
          state      "complete", "incomplete" or "unknown" (needed)
          view       stream → window's start, UTC → {"seen": n, "n": {"label": n}}: what counts, summed over models (needed)
          missing    [[epoch, stream, first, last], …], ascending: what is to be asked for (needed)
          received   epoch → stream → how many numbers came, conflicts among them (needed)
        It is judged as of the last message: no device is silent for long.
Fails   a case that is not held is told with what was expected and found; exit code 1. 2: the command cannot be run.

`reference` is the command for the subscriber of this package: `python -m agent.subscriber.conformance.reference`.
Add one (a case) in `cases`: its messages by `bodies`, and what must come of them.
"""
