"""grpc.aio: calls of all four kinds between a server and its clients, a time limit, a cancellation."""

import asyncio
import os

os.environ["GRPC_VERBOSITY"] = "ERROR"  # the library is free to tell how its connections end

import contextlib

import grpc


class Numbers(grpc.GenericRpcHandler):
    """A service without generated code: messages are numbers in ASCII."""

    def service(self, details):
        """Find a method."""
        return {
            "/numbers/double": grpc.unary_unary_rpc_method_handler(self.double),
            "/numbers/count": grpc.unary_stream_rpc_method_handler(self.count),
            "/numbers/add": grpc.stream_unary_rpc_method_handler(self.add),
            "/numbers/running": grpc.stream_stream_rpc_method_handler(self.running),
            "/numbers/late": grpc.unary_unary_rpc_method_handler(self.late),
        }.get(details.method)

    async def double(self, request, _context):
        """Answer one message with one."""
        await asyncio.sleep(0)
        return b"%d" % (int(request) * 2)

    async def count(self, request, _context):
        """Answer one message with many."""
        for number in range(int(request)):
            yield b"%d" % number

    async def add(self, requests, _context):
        """Answer many messages with one."""
        return b"%d" % sum([int(request) async for request in requests])

    async def running(self, requests, _context):
        """Answer each message of a stream."""
        total = 0
        async for request in requests:
            total += int(request)
            yield b"%d" % total

    async def late(self, _request, _context):
        """Answer too late."""
        await asyncio.sleep(60)


async def numbers(count):
    """The messages of a stream."""
    for number in range(count):
        yield b"%d" % number


async def main():
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Numbers()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        double = channel.unary_unary("/numbers/double")
        answers = await asyncio.gather(*(double(b"%d" % number) for number in range(200)))
        assert [int(answer) for answer in answers] == [2 * number for number in range(200)]
        stream = channel.unary_stream("/numbers/count")(b"500")
        assert [int(each) async for each in stream] == list(range(500))
        assert await channel.stream_unary("/numbers/add")(numbers(500)) == b"124750"
        stream = channel.stream_stream("/numbers/running")(numbers(5))
        assert [int(each) async for each in stream] == [0, 1, 3, 6, 10]
        try:
            await channel.unary_unary("/numbers/late")(b"", timeout=0.05)
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        else:
            raise AssertionError("a time limit that was over did nothing")
        call = asyncio.ensure_future(double_late(channel))
        await asyncio.sleep(0.05)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        assert await double(b"4") == b"8"
    await server.stop(None)


async def double_late(channel):
    """Await the answer that comes too late."""
    await channel.unary_unary("/numbers/late")(b"")


asyncio.run(main())
