"""Row "signals": handlers on the loop, and Ctrl-C during run."""

import signal

import pytest


def test_add_and_remove_a_handler(aio):
    async def main():
        loop = aio.get_running_loop()
        arrived = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, arrived.set_result, "arrived")
        signal.raise_signal(signal.SIGUSR1)
        result = await arrived
        return result, loop.remove_signal_handler(signal.SIGUSR1), loop.remove_signal_handler(signal.SIGUSR1)

    assert aio.run(main()) == ("arrived", True, False)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_graceful_shutdown(aio):
    async def main():
        loop, stop, log = aio.get_running_loop(), aio.Event(), []
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)

        async def worker():
            try:
                await aio.sleep(1000)
            finally:
                log.append("worker stopped")

        task = aio.create_task(worker())
        loop.call_soon(signal.raise_signal, signal.SIGTERM)
        await stop.wait()
        task.cancel()
        await aio.wait([task])
        return log

    assert aio.run(main()) == ["worker stopped"]


def test_control_c_cancels_main(aio):
    log = []

    async def main():
        try:
            aio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            await aio.sleep(1000)
        except aio.CancelledError:
            log.append("cancelled")
            raise

    with pytest.raises(KeyboardInterrupt):
        aio.run(main())
    assert log == ["cancelled"]


def test_control_c_that_main_ignores(aio):
    async def main():
        try:
            aio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
            await aio.sleep(1000)
        except aio.CancelledError:
            aio.current_task().uncancel()
        return "finished all the same"

    assert aio.run(main()) == "finished all the same"
