"""Threads that post callbacks without end: the loop gets its turns, and the program its end."""


def test_the_loop_goes_on(impl):
    finished = impl.run_source("""
        import threading

        def post(loop):
            try:
                while True:
                    loop.call_soon_threadsafe(int)
            except RuntimeError:
                pass  # the loop is closed

        async def main():
            loop = aio.get_running_loop()
            for _ in range(4):
                threading.Thread(target=post, args=(loop,), daemon=True).start()
            await aio.sleep(0.2)
            for _ in range(20):
                await aio.sleep(0)

        aio.run(main())
        print("over")
    """)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "over\n", "")


def test_nothing_is_lost_or_held_up_by_a_busy_loop(impl):
    """A thread that posts more than the loop takes at once waits a little, and not for the loop."""
    finished = impl.run_source("""
        import threading

        COUNT = 20_000
        came = []

        async def main():
            loop = aio.get_running_loop()

            def post():
                for number in range(COUNT):
                    loop.call_soon_threadsafe(came.append, number)

            thread = threading.Thread(target=post)
            thread.start()
            thread.join()  # the loop is busy with this
            assert came == []
            while len(came) < COUNT:
                await aio.sleep(0)

        aio.run(main())
        assert came == list(range(COUNT))
    """)
    assert (finished.returncode, finished.stderr) == (0, "")
