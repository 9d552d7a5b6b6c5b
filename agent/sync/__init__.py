"""Sync: items that the store has numbered go to an MQTT 5 broker, and a ledger says which numbers exist.

Takes   an open store, the `[mqtt]` table, the device ("site/name"), a birth, a clock, randomness. See `sync.open_sync`.
Gives   items on `live/` and `back/`, status, birth, ledger; answers to `cmd/resend`; `Sync.state` for the supervisor and the page.
Threads one. It drives paho itself (`connection.Connection.poll`), so paho calls nothing on other threads. It sleeps on the socket and a
        wake-up that `close` gives, at most 0.1 s: so late an item may leave after its commit. The name look-up alone has a thread of its own,
        because it has no time limit.
Fails   never out of the thread: no link, a refused password, a broker that is full are a Problem in `Sync.state`, logged once and then
        hourly, and are tried again for ever with backoff and jitter. A Problem at open: a URL or certificate file that cannot be right.
Add one (a command) its request as a type in messages/commands.py, what it does in `commands.take`, its topic in docs/contract.md. It must
        give the same answer when it comes twice.

address     the URL, and what may go unencrypted
tls         certificates, and what a failed handshake means
link        the road to the broker: every step has a time limit and can be interrupted; paho_socket: the socket, as paho gets it
connection  one MQTT session on paho, fresh for each connection; client: how paho is set up, session: plain records, refusals: reason codes
streams     what waits on each stream, read ahead and marked as handed
sender      items → messages: window, live or back, PUBACKs
ledger      what is published about the numbers
commands    `cmd/resend`
serve       what is said on one connection, from `online` to `offline`
sync        the thread: connects, serves, backs off, closes in order
"""
