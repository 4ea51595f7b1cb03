"""Libraries that watch or change what asyncio does."""


def test_freezegun(run):
    run(
        "freezegun",
        """
        import asyncio, datetime
        import freezegun

        async def main():
            loop = asyncio.get_running_loop()
            before = loop.time()
            with freezegun.freeze_time("2020-01-01") as frozen:
                assert datetime.datetime.now().year == 2020
                here = loop.time()
                frozen.tick(3600)
                assert loop.time() == here + 3600
            with freezegun.freeze_time("2020-01-01", real_asyncio=True):
                assert datetime.datetime.now().year == 2020
                await asyncio.sleep(0.001)
            assert before < loop.time() < before + 60

        asyncio.run(main())
        """,
    )


def test_blockbuster(run):
    run(
        "blockbuster",
        """
        import asyncio, os, subprocess, sys, tempfile, time
        from blockbuster import BlockingError, blockbuster_ctx

        async def main():
            with blockbuster_ctx():
                try:
                    time.sleep(0.01)
                except BlockingError:
                    pass
                else:
                    raise AssertionError("a blocking call went through")
                await asyncio.to_thread(time.sleep, 0.001)
                server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                assert await reader.read() == b""
                writer.close()
                server.close()
                command = [sys.executable, "-c", "print(1)"]
                child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
                assert (await child.communicate())[0] == b"1\\n"

        async def send_a_file():
            async def answer(reader, writer):
                with blockbuster_ctx():
                    await asyncio.get_running_loop().sendfile(writer.transport, file)
                writer.close()

            with tempfile.TemporaryFile() as file:
                file.write(b"a file")
                file.flush()
                async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
                    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                    assert await reader.read() == b"a file"
                    writer.close()

        asyncio.run(main())
        asyncio.run(send_a_file())
        """,
    )


def test_aiodebug(run):
    run(
        "aiodebug",
        """
        import asyncio, time
        import aiodebug.log_slow_callbacks

        slow = []

        def block():
            time.sleep(0.05)

        async def main():
            enable = aiodebug.log_slow_callbacks.enable
            enable(0.02, on_slow_callback=lambda name, took: slow.append((name, took)))
            asyncio.get_running_loop().call_soon(block)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        asyncio.run(main())
        assert any("block" in name and took > 0.02 for name, took in slow), slow
        """,
    )


def test_ddtrace(run):
    """Follows the tasks that a program makes, as its profiler and tracer do."""
    run(
        "ddtrace",
        """
        import asyncio
        from ddtrace import tracer
        import ddtrace.auto

        async def child():
            await asyncio.sleep(0)
            return tracer.current_span()

        async def main():
            with tracer.trace("outer") as span:
                assert await asyncio.create_task(child()) is span
                assert await asyncio.gather(child(), child()) == [span, span]

        tracer.enabled = False
        asyncio.run(main())
        """,
    )
