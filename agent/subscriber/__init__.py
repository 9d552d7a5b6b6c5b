"""The reference subscriber: what a cloud team runs, or copies together with agent/messages.

Takes   MQTT messages (`receive`), or any (topic, payload) pairs from elsewhere, in any order, any number of times.
Gives   a SQLite file (`state`) whose content depends on the set of messages only, never on their order, repetition or grouping;
        what is missing and why (`verdict`), which numbers to ask the device for again (`asks`), a report for people and programs (`report`).
Threads one: the caller's. `receive.receive` drives the network itself; the file has one writer.
Fails   SubscriberError(where, what, remedy). A message that cannot be read never fails: it is set aside with its bytes and acknowledged.
Add one (a kind of item) its type in messages, and in `item_row.ITEMS`; what its content adds up to, as a view in `state`. Until then items
        of an unknown kind are counted and kept with their bytes.

The rules stand in docs/contract.md, how to run it in docs/subscribing.md. Imports agent.messages, paho and the standard library only.
"""
