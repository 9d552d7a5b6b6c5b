"""A link to a broker that takes its time and is counted, in a process of its own: bytes as they cross an IP link, by what TCP says of the socket.

Segments carry 1,400 bytes at most, as over a modem (TCP_MAXSEG); each costs 52 bytes more (IPv4, TCP, timestamps), an acknowledgement alone
too. Both directions are counted. The delay is put on everything, each way.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_SEGMENT = 52
_MOST = 1_400
_INFO_BYTES = 256


class Crossed(NamedTuple):
    """payload: of TCP. link: with the headers of all segments."""

    payload: int
    link: int

    def since(self, before: "Crossed") -> "Crossed":
        return Crossed(self.payload - before.payload, self.link - before.link)


class SlowLink:
    """port: where a client connects."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self._line())

    def crossed(self) -> Crossed:
        """Between clients and this link so far, of connections that are still open."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Crossed(*json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def slow_link(port: int, delay_s: float = 0.0) -> Iterator[SlowLink]:
    """port: of the broker. delay_s: each way."""
    command = [sys.executable, "-m", "benchmarks.slow_link", str(port), str(delay_s)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield SlowLink(process)
    finally:
        process.kill()
        process.wait(10)


async def _serve(port: int, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    clients: list[socket.socket] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            loop.call_later(delay_s, writer.write, data)
        loop.call_later(delay_s, writer.close)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer.get_extra_info("socket"))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _MOST)
    server = await asyncio.start_server(take, sock=listener)
    print(listener.getsockname()[1], flush=True)
    asked = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    async with server:
        while await asked.readline():
            counted = [_crossed(client) for client in clients if client.fileno() >= 0]
            print(json.dumps([sum(one.payload for one in counted), sum(one.link for one in counted)]), flush=True)


def _crossed(client: socket.socket) -> Crossed:
    info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    # struct tcp_info of Linux: bytes_received 128, segs_out 136, segs_in 140, bytes_sent 200 (since 4.19).
    (received,), (sent,) = struct.unpack_from("=Q", info, 128), struct.unpack_from("=Q", info, 200)
    segments = sum(struct.unpack_from("=II", info, 136))
    return Crossed(received + sent, received + sent + _SEGMENT * segments)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
