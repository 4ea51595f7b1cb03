"""A service over UDP, and a client that copes with what UDP loses.

    python examples/udp_service.py serve [--port 9999]
    python examples/udp_service.py ask 17 4 [--port 9999]

A request is a number for the answer to name, and numbers to add. Shows a datagram protocol, answers that find
their request, and a client that asks again with growing patience.
"""

import argparse
import itertools
import json
from typing import Any

import yibu as asyncio


class Service(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer at once. Anybody can send anything, so what is no request is ignored."""
        try:
            number, terms = json.loads(data)
            answer = json.dumps([number, sum(terms)])
        except (ValueError, TypeError):
            return
        self.transport.sendto(answer.encode(), addr)


class Client(asyncio.DatagramProtocol):
    """Many requests may be under way; each waits for the answer with its number."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.waiting: dict[int, asyncio.Future[Any]] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        number, answer = json.loads(data)
        future = self.waiting.get(number)
        if future is not None and not future.done():  # a second answer to a repeated request comes late
            future.set_result(answer)

    def error_received(self, exc: Exception) -> None:
        print("the network says:", exc)  # nobody listens there (yet): the request is sent again

    async def ask(self, *terms: int, tries: int = 4, patience: float = 0.25) -> int:
        """Send a request until it is answered, and wait twice as long each time."""
        number = next(self.numbers)
        answer = self.waiting[number] = asyncio.get_running_loop().create_future()
        try:
            for attempt in range(tries):
                self.transport.sendto(json.dumps([number, terms]).encode())
                done, _ = await asyncio.wait([answer], timeout=patience * 2**attempt)
                if done:
                    return int(answer.result())
            raise TimeoutError(f"no answer after {tries} tries")
        finally:
            del self.waiting[number]


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Service, local_addr=("127.0.0.1", port))
    print("listening on", *transport.get_extra_info("sockname"), flush=True)
    try:
        await asyncio.Event().wait()  # until the task is cancelled, by Ctrl-C
    finally:
        transport.close()


async def ask(port: int, terms: list[int]) -> None:
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", port))
    print(await client.ask(*terms))
    transport.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Add numbers over UDP.")
    parser.add_argument("mode", choices=("serve", "ask"))
    parser.add_argument("terms", nargs="*", type=int)
    parser.add_argument("--port", type=int, default=9999)
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.port) if options.mode == "serve" else ask(options.port, options.terms))
    except KeyboardInterrupt:
        print("closed")
