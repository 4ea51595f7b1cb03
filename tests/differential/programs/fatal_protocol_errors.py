"""What is logged when a protocol raises, at each of its methods."""

import asyncio
import logging
import socket
import sys

logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")


def failing(method):
    def raising(self, *arguments):
        raise ZeroDivisionError(method)

    base = asyncio.BufferedProtocol if method in ("get_buffer", "buffer_updated") else asyncio.Protocol

    class Failing(base):
        lost = None

        def connection_lost(self, error):
            if method == "connection_lost":
                done.set()
                raise ZeroDivisionError(method)
            print("lost", repr(error))
            done.set()

        def get_buffer(self, size):
            return bytearray(10)

    if method != "connection_lost":
        setattr(Failing, method, raising)
    return Failing


async def main():
    global done  # noqa: PLW0603
    loop = asyncio.get_running_loop()
    for method in (
        "connection_made",
        "data_received",
        "eof_received",
        "get_buffer",
        "buffer_updated",
        "connection_lost",
    ):
        print("=====", method)
        done = asyncio.Event()
        one, two = socket.socketpair()
        transport, _ = await loop.create_connection(failing(method), sock=one)
        if method != "eof_received":
            two.send(b"data")
        two.shutdown(socket.SHUT_WR)
        await done.wait()
        await asyncio.sleep(0)
        two.close()
        print(transport.is_closing())


asyncio.run(main())
