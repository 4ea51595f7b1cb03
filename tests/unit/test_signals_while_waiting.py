"""Python handlers of signals (`signal.signal`) run while a loop waits, though nothing interrupts its wait."""

import asyncio
import os
import signal
import socket
import threading

import pytest

pytestmark = pytest.mark.yibu_only  # asyncio's loop hears of such a signal when it next has something to do


@pytest.fixture
def from_a_thread():
    """Send this process a signal that only another thread can take, so that the wait of this one goes on."""
    before = signal.getsignal(signal.SIGUSR1)
    go = threading.Event()

    def send():
        go.wait()
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=send)
    thread.start()
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    yield go.set
    go.set()
    thread.join()
    signal.pthread_sigmask(signal.SIG_SETMASK, masked)
    signal.signal(signal.SIGUSR1, before)


def test_a_handler_of_the_program_runs(loop, from_a_thread):
    future = loop.create_future()
    signal.signal(signal.SIGUSR1, lambda signum, _frame: future.set_result(signum))
    loop.call_soon(from_a_thread)
    assert loop.run_until_complete(future) == signal.SIGUSR1


def test_an_exception_of_the_handler_leaves_the_loop(loop, from_a_thread):
    class Interrupted(BaseException):
        pass

    def interrupt(_signum, _frame):
        raise Interrupted

    signal.signal(signal.SIGUSR1, interrupt)
    loop.call_soon(from_a_thread)
    with pytest.raises(Interrupted):
        loop.run_forever()


def test_a_loop_in_a_loop_is_woken_and_then_the_outer_one(make_loop, loop, from_a_thread):
    seen = []

    async def outer():
        await asyncio.sleep(0.001)
        asyncio._set_running_loop(None)
        try:
            inner = make_loop()
            waited = inner.create_future()
            signal.signal(signal.SIGUSR1, lambda *_: waited.set_result(None))
            inner.call_soon(from_a_thread)
            inner.run_until_complete(waited)
        finally:
            asyncio._set_running_loop(loop)
        seen.append(signal.set_wakeup_fd(-1))
        signal.set_wakeup_fd(seen[0])

    loop.run_until_complete(outer())
    assert seen[0] != -1
    assert signal.set_wakeup_fd(-1) == -1


def test_the_descriptor_of_the_program_stays(loop):
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    with ours, peer:
        assert signal.set_wakeup_fd(ours.fileno()) == -1
        seen = []
        loop.call_soon(lambda: seen.append(signal.set_wakeup_fd(ours.fileno())))
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert seen == [ours.fileno()]
        assert signal.set_wakeup_fd(-1) == ours.fileno()


def test_one_that_the_program_sets_meanwhile_stays(loop):
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    with ours, peer:
        loop.call_soon(signal.set_wakeup_fd, ours.fileno())
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert signal.set_wakeup_fd(-1) == ours.fileno()


def test_a_loop_in_a_thread_leaves_the_descriptor_alone(make_loop):
    seen = []

    def run():
        loop = make_loop()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        seen.append(True)

    before = signal.set_wakeup_fd(-1)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert (before, seen, signal.set_wakeup_fd(-1)) == (-1, [True], -1)


def test_a_closed_loop_gives_its_descriptors_back(make_loop):
    def descriptors():
        return sorted(os.listdir("/proc/self/fd"))

    before = descriptors()
    for _ in range(3):
        loop = make_loop()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    assert descriptors() == before


def test_the_child_of_a_fork_has_a_pipe_of_its_own(make_loop):
    loop = make_loop()
    loop.call_soon(loop.stop)
    loop.run_forever()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            loop = make_loop()
            signal.signal(signal.SIGUSR1, lambda *_: loop.stop())
            loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
            loop.run_forever()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
