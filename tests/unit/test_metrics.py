"""`EventLoop.metrics()` and `yibu.observe()`: what loops count, and what they do not know is None."""

import asyncio
import dataclasses
import gc
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref

import pytest
import yibu
from yibu.inspection import observed, table
from yibu.inspection.breath import Breath

from tests.unit.test_watching import PACKAGE_ROOT, run_program

pytestmark = pytest.mark.yibu_only

OBSERVED = [
    "observed_seconds",
    "tasks_finished",
    "tasks_failed",
    "tasks_cancelled",
    "lag",
    "executor_waits",
    "callbacks",
    "callback_seconds",
    "functions",
]


async def nothing():
    pass


async def failing():
    raise ValueError


async def yielding(count):
    for _ in range(count):
        await asyncio.sleep(0)


def spin(seconds):
    """Use the processor until the clock of the loops has certainly ticked."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def function(metrics, name):
    (found,) = [each for each in metrics.functions if each.name == name]
    return found


def test_what_is_always_counted(make_loop):
    loop = make_loop()
    before = loop.metrics()
    assert (before.turns, before.steps, before.tasks_made, before.running_seconds) == (0, 0, 0, 0)
    assert before.utilisation is None
    never = loop.call_later(1000, print)
    loop.call_later(1000, print).cancel()

    async def main():
        other = asyncio.create_task(asyncio.sleep(0.01))
        within.append(loop.metrics())
        await other

    within = []
    loop.run_until_complete(main())
    after = loop.metrics()
    never.cancel()
    assert (within[0].tasks_made, within[0].tasks_alive, within[0].ready, within[0].timers) == (2, 2, 1, 1)
    assert (after.tasks_made, after.tasks_alive) == (2, 0)
    assert after.parks >= 1 and after.turns >= 3 and after.steps >= 4
    assert 0 < after.idle_seconds <= after.running_seconds
    assert after.busy_seconds == pytest.approx(after.running_seconds - after.idle_seconds)
    assert 0 <= after.utilisation <= 1 and 0 <= after.utilisation_since(before) <= 1
    assert after.utilisation_since(after) is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        after.turns = 0


def test_time_in_which_the_loop_does_not_run_does_not_count(make_loop):
    loop = make_loop()
    loop.run_until_complete(nothing())
    ran = loop.metrics().running_seconds
    time.sleep(0.01)
    assert loop.metrics().running_seconds == ran


def look_at_a_park(loop, before):
    """From another thread: what the loop has counted in its first park, twice, half a second apart."""
    while loop.metrics().parks == before.parks:
        time.sleep(0.001)
    first = loop.metrics()
    while loop.metrics().running_seconds < first.running_seconds + 0.5:
        time.sleep(0.01)
    return first, loop.metrics()


def test_a_park_is_idle_time_while_it_lasts(make_loop):
    """Another thread that asks an idle program sees it idle, not busy since the park began."""
    loop = make_loop()
    before = loop.metrics()

    def look():
        seen = look_at_a_park(loop, before)
        (shown,) = (one for one in observed.take(0.0, Breath()).loops if one.id == id(loop))
        return *seen, "\n".join(table.loop_lines(shown))

    first, second, page = loop.run_until_complete(asyncio.to_thread(look))
    assert second.parks == first.parks, "one park goes on"
    passed = second.running_seconds - first.running_seconds
    assert second.idle_seconds - first.idle_seconds == pytest.approx(passed) and passed > 0.4
    assert second.utilisation_since(first) == pytest.approx(0, abs=1e-6)
    percent = int(re.search(r"(\d+)% busy since it runs", page)[1])
    assert percent <= 100 * second.utilisation + 1


def test_a_park_that_an_exception_ends_was_idle_time(make_loop):
    loop = make_loop()
    before = loop.metrics()
    looks = []

    def interrupt(*_args):
        raise KeyboardInterrupt

    def send():
        looks.extend(look_at_a_park(loop, before))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    former = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=send)
    try:
        loop.call_soon(thread.start)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, former)
    after = loop.metrics()
    assert after.parks == looks[1].parks and after.idle_seconds >= looks[1].idle_seconds
    assert loop.metrics().idle_seconds == after.idle_seconds


def test_times_of_a_replaced_clock_are_not_known(make_loop):
    loop = make_loop()
    own = loop.time
    loop.time = lambda: own() - 1000
    loop.run_until_complete(asyncio.sleep(0.001))
    assert loop.metrics().running_seconds is None and loop.metrics().utilisation is None


def test_nothing_false_while_nobody_observes(make_loop):
    loop = make_loop()
    loop.run_until_complete(yielding(3))
    metrics = loop.metrics()
    assert [getattr(metrics, name) for name in OBSERVED] == [None] * len(OBSERVED)
    with yibu.observe():
        loop.run_until_complete(yielding(3))
        assert None not in [getattr(loop.metrics(), name) for name in OBSERVED]
    metrics = loop.metrics()
    assert [getattr(metrics, name) for name in OBSERVED] == [None] * len(OBSERVED)


def test_tasks_and_their_ends(make_loop):
    loop = make_loop()

    async def main():
        tasks = [asyncio.create_task(coroutine) for coroutine in (nothing(), failing(), failing())]
        waiting = asyncio.create_task(asyncio.sleep(100))
        await asyncio.gather(*tasks, return_exceptions=True)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return loop.metrics()

    with yibu.observe():
        metrics = loop.run_until_complete(main())
        assert (metrics.tasks_finished, metrics.tasks_failed, metrics.tasks_cancelled) == (1, 2, 1)
        assert loop.metrics().tasks_finished == 2
    assert function(metrics, "failing").count == 2 and function(metrics, "failing").polls == 2


def test_coroutine_functions(make_loop):
    loop = make_loop()

    async def busy():
        spin(0.2)
        await asyncio.sleep(0)
        spin(0.2)

    async def main():
        await asyncio.gather(busy(), yielding(5), yielding(7))

    with yibu.observe(slow=0.1):
        loop.run_until_complete(main())
        metrics = loop.metrics()
    name = f"{test_coroutine_functions.__name__}.<locals>.busy"
    mine, others = function(metrics, name), function(metrics, "yielding")
    assert (mine.count, mine.polls) == (1, 2) and 1 <= mine.slow_polls <= 2
    assert (others.count, others.polls, others.slow_polls) == (2, 5 + 7 + 2, 0)
    assert mine.file == __file__ and mine.line == busy.__code__.co_firstlineno
    assert mine.busy > 0.05 > others.busy
    # While one of them computes, the others are ready.
    assert others.scheduled > 0.05 > mine.scheduled
    assert metrics.functions[0] is mine


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks(make_loop):
    """Their first step is a part of another step, and a step all the same."""
    loop = make_loop()

    async def main():
        for _ in range(3):
            await yibu.Task(nothing(), loop=loop, eager_start=True)
        await yibu.Task(yielding(2), loop=loop, eager_start=True)

    with yibu.observe():
        before = loop.metrics().steps
        loop.call_soon(int)
        loop.run_until_complete(main())
        metrics = loop.metrics()
    done, others = function(metrics, "nothing"), function(metrics, "yielding")
    assert (done.count, done.polls) == (3, 3) and (others.count, others.polls) == (1, 3)
    assert metrics.tasks_finished == 5
    polls = sum(each.polls for each in metrics.functions)
    assert metrics.callbacks + polls == metrics.steps - before + 4


def test_waiting_is_idle_time(make_loop):
    loop = make_loop()

    async def waits():
        await asyncio.sleep(0.1)

    with yibu.observe():
        loop.run_until_complete(waits())
        found = function(loop.metrics(), f"{test_waiting_is_idle_time.__name__}.<locals>.waits")
    assert found.idle > 0.05 > found.busy and found.scheduled < 0.05


def test_lag(make_loop):
    loop = make_loop()

    async def main():
        other = asyncio.create_task(yielding(2))
        loop.call_later(0.001, int)
        spin(0.05)
        await other
        await asyncio.sleep(0)

    with yibu.observe():
        loop.run_until_complete(main())
        lag = loop.metrics().lag
    # The task was ready for as long as the first step took, and the timer was due.
    assert lag.count >= 2 and lag.max > 0.03
    assert lag.mean <= lag.max and lag.p50 <= lag.p99 <= lag.max
    limits, counts = zip(*lag.buckets, strict=True)
    assert list(limits) == sorted(limits) and list(counts) == sorted(counts)
    assert counts[-1] == lag.count and counts[0] < lag.count


def test_each_due_timer_has_its_own_lag(make_loop):
    class Loop(yibu.EventLoop):
        now = 0.0

        def time(self):
            return self.now

    loop = make_loop(Loop)
    timers = [loop.call_at(when, int) for when in range(100, 0, -2)]
    timers += [loop.call_at(when, int) for when in range(1, 100, 2)]
    timers[25].cancel()
    assert timers[25].when() == 50
    loop.call_at(1000, int)
    loop.call_at(100, loop.stop)
    loop.call_soon(setattr, loop, "now", 100.0)
    with yibu.observe():
        loop.run_forever()
        lag = loop.metrics().lag
    # What was ready may have been late by moments, too. The clock of the timers stands still meanwhile.
    assert lag.count >= 100 and lag.max == 99
    assert sum(range(100)) - 50 <= lag.sum < sum(range(100))


def charged(metrics):
    """The time that steps are said to have taken."""
    return metrics.callback_seconds + sum(each.busy for each in metrics.functions)


async def busy_for_a_moment():
    spin(0.02)
    await asyncio.sleep(0)


def test_time_before_observing_belongs_to_nobody(make_loop):
    loop = make_loop()
    with yibu.observe():
        loop.run_until_complete(busy_for_a_moment())
    time.sleep(0.3)
    began = time.monotonic()
    with yibu.observe():
        loop.run_until_complete(busy_for_a_moment())
        metrics = loop.metrics()
    observed = time.monotonic() - began
    assert charged(metrics) <= observed and metrics.lag.max <= observed


def test_time_in_which_a_running_loop_was_not_observed_belongs_to_nobody(make_loop):
    loop = make_loop()

    async def main():
        with yibu.observe():
            await busy_for_a_moment()
        await asyncio.sleep(0.3)
        began = time.monotonic()
        with yibu.observe():
            await asyncio.create_task(busy_for_a_moment())
            metrics = loop.metrics()
        return metrics, time.monotonic() - began

    metrics, observed = loop.run_until_complete(main())
    found = function(metrics, busy_for_a_moment.__name__)
    assert charged(metrics) <= observed and metrics.lag.max <= observed
    assert found.idle + found.scheduled + found.busy <= observed


def test_callbacks(make_loop):
    loop = make_loop()
    with yibu.observe():
        loop.call_soon(spin, 0.03)
        loop.call_soon(loop.stop)
        loop.run_forever()
        metrics = loop.metrics()
    assert metrics.callbacks == 2 and metrics.callback_seconds > 0.01 and metrics.functions == ()


def test_debug_mode_and_observing_go_together(make_loop, caplog):
    loop = make_loop()
    with yibu.observe():
        loop.set_debug(True)
        loop.slow_callback_duration = 0.01
        loop.call_soon(spin, 0.03)
        loop.run_until_complete(yielding(2))
        assert loop.metrics().callbacks and function(loop.metrics(), "yielding").polls == 3
        loop.set_debug(False)
        loop.run_until_complete(yielding(2))
        assert function(loop.metrics(), "yielding").polls == 6
    assert [record.message[:9] for record in caplog.records if "took" in record.message] == ["Executing"]


def test_traffic(make_loop):
    loop = make_loop()

    async def serve(reader, writer):
        writer.write(await reader.readexactly(5))
        await writer.drain()
        writer.close()

    async def main():
        server = await yibu.start_server(serve, "127.0.0.1", 0)
        reader, writer = await yibu.open_connection(*server.sockets[0].getsockname())
        writer.write(b"12345")
        assert await reader.read() == b"12345"
        writer.close()
        await writer.wait_closed()
        server.close()

    loop.run_until_complete(main())
    metrics = loop.metrics()
    assert (metrics.received_bytes, metrics.sent_bytes, metrics.accepted) == (10, 10, 1)
    assert metrics.receives >= 2 and metrics.sends == 2


def test_sockets_of_the_program_count(make_loop):
    loop = make_loop()
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        loop.run_until_complete(loop.sock_sendall(one, b"abc"))
        assert loop.run_until_complete(loop.sock_recv(other, 10)) == b"abc"
    assert (loop.metrics().received_bytes, loop.metrics().sent_bytes) == (3, 3)


def test_the_executor(make_loop):
    loop = make_loop()
    assert (loop.metrics().executor_queue, loop.metrics().executor_threads) == (0, 0)
    with yibu.observe():
        loop.run_until_complete(loop.run_in_executor(None, int))
        metrics = loop.metrics()
    assert (metrics.executor_queue, metrics.executor_threads, metrics.executor_waits.count) == (0, 1, 1)
    loop.run_until_complete(loop.shutdown_default_executor())


def test_an_executor_of_the_program_is_not_known(make_loop):
    from concurrent.futures import ThreadPoolExecutor

    loop = make_loop()
    with ThreadPoolExecutor(1) as executor:
        loop.set_default_executor(executor)
        assert loop.metrics().executor_queue is loop.metrics().executor_threads is None


def test_a_selector_of_the_program_makes_times_unknown(make_loop):
    import selectors

    class Selector(selectors.SelectSelector):
        pass

    loop = make_loop(lambda: yibu.EventLoop(Selector()))
    loop.run_until_complete(asyncio.sleep(0.01))
    metrics = loop.metrics()
    assert metrics.running_seconds is metrics.busy_seconds is metrics.utilisation is None
    assert metrics.utilisation_since(metrics) is None and metrics.steps > 0


def test_several_observers_and_loops_made_later(make_loop):
    first, second = yibu.observe(), yibu.observe()
    loop = make_loop()
    first.stop()
    first.stop()
    assert loop.metrics().functions == ()
    second.stop()
    assert loop.metrics().functions is None
    with yibu.observe():
        assert loop.metrics().functions == ()


def test_a_task_of_one_observation_is_new_to_the_next(make_loop):
    loop = make_loop()
    task = loop.create_task(yielding(100))
    for _ in range(3):
        with yibu.observe():
            loop.run_until_complete(yielding(2))
            assert function(loop.metrics(), "yielding").count == 2
    loop.run_until_complete(task)


def test_many_steps_of_one_task(make_loop):
    loop = make_loop()
    with yibu.observe():
        loop.run_until_complete(yielding(200_000))
        metrics = loop.metrics()
    assert function(metrics, "yielding").polls == 200_001
    assert metrics.callbacks == metrics.steps - 200_001


def test_tasks_that_are_there_when_observing_begins(make_loop):
    loop = make_loop()

    async def main():
        task = asyncio.create_task(yielding(5))
        await asyncio.sleep(0)
        with yibu.observe():
            await task
            return loop.metrics()

    found = function(loop.run_until_complete(main()), "yielding")
    assert (found.count, found.polls) == (1, 5)


def test_observing_begins_and_ends_within_a_step(make_loop):
    loop = make_loop()

    async def main():
        observer = yibu.observe()
        await asyncio.sleep(0)
        seen = loop.metrics()
        observer.stop()
        await asyncio.sleep(0)
        return seen

    assert loop.run_until_complete(main()).functions[0].count == 1


def test_functions_and_loops_are_collected(make_loop):
    make_loop()
    with yibu.observe():
        loop = yibu.new_event_loop()
        namespace = {}
        exec("async def gone(): pass", namespace)
        loop.run_until_complete(namespace["gone"]())
        loop.close()
        known = weakref.ref(loop)
        del loop
        gc.collect()
        assert known() is None


@pytest.mark.parametrize(
    ("slow", "error"),
    [(0, ValueError), (-1, ValueError), (float("nan"), ValueError), ("a", TypeError), (None, TypeError)],
)
def test_no_such_limit(make_loop, slow, error):
    """Also where somebody else observes already, who goes on."""
    loop = make_loop()
    with pytest.raises(error):
        yibu.observe(slow)
    assert loop.metrics().functions is None
    with yibu.observe():
        with pytest.raises(error):
            yibu.observe(slow)
        assert loop.metrics().functions == ()
    assert loop.metrics().functions is None


def test_another_thread_asks(make_loop):
    loop, found = make_loop(), []

    async def main():
        thread = threading.Thread(target=lambda: found.append(loop.metrics()))
        thread.start()
        thread.join()

    loop.run_until_complete(main())
    assert found[0].tasks_alive == 1


def test_many_functions_share_the_last_place(make_loop):
    loop = make_loop()
    namespace = {}
    source = "\n".join(f"async def f{number}(): pass" for number in range(5000))
    exec(source, namespace)
    with yibu.observe():
        for number in range(5000):
            loop.run_until_complete(namespace[f"f{number}"]())
        functions = loop.metrics().functions
    assert len(functions) == 4096
    assert sum(each.count for each in functions) == 5000
    assert (
        function(loop_metrics := dataclasses.replace(loop.metrics(), functions=functions), "others").count > 1
    )
    assert loop_metrics.functions is functions


def test_tasks_that_are_freed_before_they_end(make_loop):
    """They were there, and are no more; they count as tasks that have not ended."""
    loop = make_loop()
    loop.set_exception_handler(lambda _loop, _context: None)

    async def waits():
        await loop.create_future()

    async def main():
        for _ in range(3):
            loop.create_task(waits())
        await asyncio.sleep(0)
        gc.collect()

    with yibu.observe():
        loop.run_until_complete(main())
        metrics = loop.metrics()
    assert (metrics.tasks_alive, metrics.tasks_finished) == (0, 1)
    found = function(metrics, f"{test_tasks_that_are_freed_before_they_end.__qualname__}.<locals>.waits")
    assert (found.count, found.polls) == (3, 3)


def test_the_clock_takes_no_signals():
    """A handler that it ran would write to the descriptor of another file, or to none."""
    out, err = run_program(
        """
        import os, signal, yibu

        with yibu.observe():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            os.kill(os.getpid(), signal.SIGUSR1)
            print(signal.sigpending() == {signal.SIGUSR1}, signal.sigwait({signal.SIGUSR1}) == signal.SIGUSR1)
        """,
        "-c",
    )
    assert (out, err) == ("True True\n", "")


def test_forks_while_observed():
    out, err = run_program(
        """
        import os, threading, time, yibu

        async def main():
            until = time.monotonic() + 0.05
            while time.monotonic() < until:
                pass

        loop = yibu.new_event_loop()
        with yibu.observe():
            child = os.fork()
            loop.run_until_complete(main())
            print(loop.metrics().functions[0].busy > 0.01, flush=True)
            if child:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            else:
                os._exit(0)
        loop.close()
        """,
        "-c",
    )
    assert (out, err) == ("True\nTrue\n", "")


def test_time_of_a_fork_belongs_to_no_later_step():
    """The clock of the loops stands still from the fork's first handler to its last one."""
    out, err = run_program(
        """
        import os, time, yibu

        began = []
        os.register_at_fork(
            before=lambda: time.sleep(0.3),
            after_in_parent=lambda: began.append(time.monotonic()),
            after_in_child=lambda: began.append(time.monotonic()),
        )

        async def main():
            until = time.monotonic() + 0.02
            while time.monotonic() < until:
                pass

        def busy():
            loop.run_until_complete(main())
            return loop.metrics().functions[0].busy

        loop = yibu.new_event_loop()
        with yibu.observe():
            before = busy()
            child = os.fork()
            print(busy() - before <= time.monotonic() - began[0], flush=True)
            if child:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            else:
                os._exit(0)
        loop.close()
        """,
        "-c",
    )
    assert (out, err) == ("True\nTrue\n", "")


def test_the_end_of_the_interpreter_while_observed():
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import yibu; yibu.observe(); yibu.run(yibu.sleep(0))"],
        env={"PYTHONPATH": PACKAGE_ROOT},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
