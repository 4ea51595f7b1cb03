"""The interpreter ends while other threads run Python code that was called from native code.

Before Python 3.14 it ended those threads by unwinding their stacks, and with them the process.
"""


def test_over_a_loop_in_a_daemon_thread(impl):
    process = impl.run_source("""
        import threading

        def again():
            running.set()
            loop.call_soon(again)

        running = threading.Event()
        loop = aio.new_event_loop()
        loop.call_soon(again)
        threading.Thread(target=loop.run_forever, daemon=True).start()
        running.wait()
    """)
    assert (process.stderr, process.returncode) == ("", 0)


def test_over_a_job_of_the_default_executor(impl):
    """Control-C does not wait for jobs."""
    process = impl.run_source("""
        import concurrent.futures.thread
        import os
        import signal

        def job():
            while not concurrent.futures.thread._shutdown:
                os.sched_yield()
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                pass

        loop = aio.new_event_loop()
        loop.run_in_executor(None, job)
    """)
    assert "KeyboardInterrupt" in process.stderr
    assert process.returncode == 0
