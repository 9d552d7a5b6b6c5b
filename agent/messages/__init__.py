"""The message contract as types: one Struct a body, whose attribute names are the keys on the wire (docs/contract.md).

Takes   facts that are already known: names, numbers, UTC microseconds. Nothing here asks a clock, a store or a network.
Gives   `envelope.encode(body) -> bytes`: compact JSON, keys in the order of the contract, all of them always written, also 0, {} and
        null; only carry, gap, zone, line and sens may be absent. `envelope.decode(bytes, Kind) -> Kind`: unknown keys are ignored.
        `topics`: names to topics and back. `batch`: many items to one message and back. `ledger.fit`: the size limit.
        `schema`: the same types as JSON Schema and AsyncAPI (`python -m agent.messages.schema --write`).
Threads everything is a pure function or a frozen value.
Fails   `envelope.Unreadable` (a ValueError that says why) for bytes that are no such body; ValueError for a name, time or topic that is none.
Add one a body is one file: a frozen keyword-only Struct, its line in `schema.BODIES`, its example in tests/messages.
        A new key needs no new version; removing a key or changing what it means makes v2.

Imports msgspec and the standard library only, so that a cloud team can copy this folder and agent/subscriber as they are.
"""
