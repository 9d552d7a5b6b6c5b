"""`audit`: who asked for what, and what came of it. One item a minute for each caller, command and outcome: automatic asks must not cost more
than what they ask for, nor make items that are then asked for.
"""

from typing import Literal

from agent.messages.envelope import Count, Item, Text

STREAM = "audit"


class Audit(Item, frozen=True, kw_only=True):
    """t: when it was answered. who: as the caller calls itself. id: of the request. code, msg: of the answer.
    count: requests since the last such item, this one included; those of the last minute before a restart are not counted.
    """

    k: Literal["aud"] = "aud"
    t: Text
    who: str
    cmd: str
    id: str
    code: str
    msg: str
    count: Count = 1
