"""The datagram servers that every contender runs."""

import asyncio as stock
import socket
from collections.abc import Callable
from typing import Any, cast

#: A host and a port.
Address = tuple[str, int]


class Echo(stock.DatagramProtocol):
    """Sends every datagram back to where it came from."""

    transport: stock.DatagramTransport

    def connection_made(self, transport: stock.BaseTransport) -> None:
        """Keep the transport, as every protocol does."""
        self.transport = cast(stock.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer."""
        self.transport.sendto(data, addr)


class ConnectedEcho(Echo):
    """Sends every datagram back to the only peer."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer."""
        self.transport.sendto(data)


async def receive(loop: stock.AbstractEventLoop, style: str, announce: Callable[[Address], None]) -> None:
    """Start the server of one style on a free port of the loopback interface, and say which."""
    if style == "datagrams":
        transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        announce(transport.get_extra_info("sockname"))
        return
    # Whom to connect with is learnt from the first datagram.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
        first.bind(("127.0.0.1", 0))
        address = first.getsockname()
        announce(address)
        data, peer = first.recvfrom(64 * 1024)
    connected, _ = await loop.create_datagram_endpoint(ConnectedEcho, local_addr=address, remote_addr=peer)
    connected.sendto(data)
