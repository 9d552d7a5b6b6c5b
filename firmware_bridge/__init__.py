"""Firmware bridge: talks with the project's firmware over a serial line. Imports nothing of the agent; docs/serial-protocol.md is the protocol.

Takes   a port's path and baud; the time as `now_ns`, on one clock that never steps; what was read and written.
Gives   `ports.open_port` (bytes), `requests.Requests` (what to ask and when), `link.Session` (bytes and times → `Chunk`s of samples with host
        times, losses by cause; the same for a live link and its recording); `build.run_firmware` starts the example firmware.
Threads none of its own. The thread that owns the port owns `Requests`; `Session` may live on another, it shares nothing with it.
Fails   LinkError(where, what, remedy): port absent, busy, not permitted, unplugged; a device of another version or description.
        Damaged bytes never fail: they are counted (`Receiver`), and what they cost is in `Session.losses`.
Add one (message) its number and body in docs/serial-protocol.md, vectors.json, packets.py and firmware/link.c; an older side skips it.
"""
