"""`yibu.trace()`: the file is valid, and tells who did what, for how long and because of whom."""

import asyncio
import errno
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter, defaultdict

import pytest
import yibu

from tests.unit.test_watching import run_program

pytestmark = pytest.mark.yibu_only


class Trace:
    """A file, read back; `check` is what holds for every trace."""

    def __init__(self, path):
        with open(path) as file:
            self.events = json.load(file)
        self.lost = self.events[-1]["args"]["lost events"]
        self.check()

    def check(self):
        for event in self.events:
            assert {"ph", "pid", "tid", "name"} <= event.keys(), event
            assert event["ph"] in "XbesfMi", event
            assert type(event["pid"]) is type(event["tid"]) is int
            assert event["ph"] == "M" or event["ts"] >= 0
            assert event["ph"] != "X" or event["dur"] >= 0
        self.check_arrows()
        self.check_tracks()
        self.check_nesting()

    def check_arrows(self):
        starts, ends = ({event["id"]: event for event in self.of_phase(phase)} for phase in "sf")
        assert starts.keys() == ends.keys()
        assert len(starts) == len(self.of_phase("s")) == len(self.of_phase("f"))
        for number, start in starts.items():
            assert start["ts"] <= ends[number]["ts"]
            assert ends[number]["bp"] == "e"

    def check_tracks(self):
        """What begins on the track of a task ends there, in the reverse order."""
        open_spans = defaultdict(list)
        for event in self.events:
            if event["ph"] == "b":
                open_spans[event["id"]].append(event)
            elif event["ph"] == "e":
                begun = open_spans[event["id"]].pop()
                assert begun["name"] == event["name"]
                assert begun["ts"] <= event["ts"]
        assert not any(open_spans.values())

    def check_nesting(self):
        """What a thread does is beside or within other things that it does, never across their end."""
        by_thread = defaultdict(list)
        for event in self.of_phase("X"):
            begun = round(event["ts"] * 1000)
            by_thread[event["tid"]].append((begun, -round(event["dur"] * 1000)))
        for spans in by_thread.values():
            ends = []
            for begun, minus in sorted(spans):
                while ends and ends[-1] <= begun:
                    ends.pop()
                assert not ends or begun - minus <= ends[-1]
                ends.append(begun - minus)

    def of_phase(self, phase):
        return [event for event in self.events if event["ph"] == phase]

    def slices(self, name):
        return [event for event in self.of_phase("X") if event["name"] == name]

    def within(self, point):
        """The slice that an end of an arrow is bound to: the innermost one at that moment."""
        found = [
            event
            for event in self.of_phase("X")
            if event["tid"] == point["tid"] and event["ts"] <= point["ts"] < event["ts"] + event["dur"]
        ]
        return max(found, key=lambda event: event["ts"]) if found else None

    def arrows(self):
        """How often which slice has caused which, by their names."""
        ends = {event["id"]: event for event in self.of_phase("f")}
        pairs = [(self.within(start), self.within(ends[start["id"]])) for start in self.of_phase("s")]
        assert all(cause and effect for cause, effect in pairs)
        return Counter((cause["name"], effect["name"]) for cause, effect in pairs)

    def threads(self):
        return {
            event["tid"]: event["args"]["name"]
            for event in self.of_phase("M")
            if event["name"] == "thread_name"
        }

    def tasks(self):
        """For each task its function and how it ended."""
        functions = {
            event["id"]: event["args"]["function"] for event in self.of_phase("b") if "args" in event
        }
        ends = {event["id"]: event["args"]["ended"] for event in self.of_phase("e") if "args" in event}
        assert functions.keys() == ends.keys()
        return sorted((functions[number], ends[number]) for number in functions)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "out.json")


def record(path, main, **options):
    """Run a coroutine on a loop of its own while a trace is recorded."""
    with yibu.trace(path, **options):
        yibu.run(main)
    return Trace(path)


async def setter(event):
    event.set()


async def waiter(event):
    await event.wait()


class TestTasks:
    def test_steps_waits_and_arrows(self, path):
        async def main():
            event = yibu.Event()
            task = asyncio.create_task(waiter(event), name='a "name" with \\ and ü')
            await asyncio.sleep(0)
            asyncio.create_task(setter(event))
            await task

        trace = record(path, main())
        first, second = trace.slices("waiter")
        assert first["args"] == {"task": 'a "name" with \\ and ü'}
        assert second["args"] == {"task": 'a "name" with \\ and ü'}
        assert first["cat"] == "task"
        arrows = trace.arrows()
        name = main.__qualname__
        assert arrows[name, "waiter"] == 1, "who made it"
        assert arrows[name, "setter"] == 1
        assert arrows["setter", "waiter"] == 1, "who set the event"
        assert arrows["waiter", name] == 1, "who was awaited"
        assert {("waiter", "finished"), ("setter", "finished"), (name, "finished")} <= set(trace.tasks())
        (wait,) = [event for event in trace.of_phase("b") if event["name"] == "Event.wait"]
        assert abs(wait["ts"] - first["ts"] - first["dur"]) < 0.01

    def test_names_of_waits(self, path):
        async def within():
            await asyncio.get_running_loop().create_future()

        async def deep():
            await within()

        async def other():
            await asyncio.sleep(0.001)

        async def main():
            queue, lock = yibu.Queue(), yibu.Lock()
            await lock.acquire()
            waits = [
                queue.get(),
                lock.acquire(),
                yibu.sleep(100),
                deep(),
                within(),
                asyncio.wait_for(deep(), 9),
            ]
            tasks = [asyncio.create_task(each) for each in waits]
            await asyncio.create_task(other())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        trace = record(path, main())
        waits = Counter(event["name"] for event in trace.of_phase("b") if "args" not in event)
        assert waits["Queue.get"] == waits["Lock.acquire"] == 1
        assert waits["sleep"] >= 1
        assert waits[within.__qualname__] == 2, "the innermost coroutine"
        # The coroutine of a task awaits it itself. Up to 3.11 wait_for() makes a task and awaits a future.
        assert waits["Future"] == (2 if sys.version_info < (3, 12) else 1)
        assert waits[other.__qualname__] == 1, "the task that is awaited"
        assert waits["_GatheringFuture"] == 1

    @pytest.mark.parametrize("name", ["Lock", "Semaphore", "BoundedSemaphore", "Condition"])
    @pytest.mark.parametrize("derived", [False, True])
    def test_async_with_has_the_name_of_its_class(self, path, name, derived):
        base = getattr(yibu, name)
        held = type("Mine", (base,), {})() if derived else base()

        async def enter():
            async with held:
                pass

        async def main():
            async with held:
                task = asyncio.create_task(enter())
                await asyncio.sleep(0)
            await task

        trace = record(path, main())
        waits = {event["name"] for event in trace.of_phase("b") if "args" not in event}
        # The method of a BoundedSemaphore is the Semaphore's.
        assert f"{name.removeprefix('Bounded')}.acquire" in waits
        assert not any("__aenter__" in wait for wait in waits)

    def test_endings(self, path):
        async def fails():
            raise ValueError

        async def waits():
            await asyncio.Event().wait()

        async def main():
            tasks = [asyncio.create_task(each()) for each in (fails, waits, waits)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.gather(*tasks[:2], return_exceptions=True)

        loop = yibu.new_event_loop()
        with yibu.trace(path):
            loop.run_until_complete(main())
        endings = Trace(path).tasks()
        assert (fails.__qualname__, "failed") in endings
        assert (waits.__qualname__, "cancelled") in endings
        assert (waits.__qualname__, "not ended") in endings
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    def test_bare_yields_and_many_tasks(self, path):
        async def yielding():
            for _ in range(5):
                await asyncio.sleep(0)

        async def main():
            await asyncio.gather(*[yielding() for _ in range(50)])

        trace = record(path, main())
        name = yielding.__qualname__
        assert len(trace.slices(name)) == 300
        assert trace.arrows()[name, name] == 250, "each step makes the next one ready"
        assert trace.tasks().count((name, "finished")) == 50

    def test_tasks_that_were_there_before(self, path):
        async def main():
            event = asyncio.Event()
            task = asyncio.create_task(waiter(event))
            await asyncio.sleep(0)
            with yibu.trace(path) as trace:
                event.set()
                await task
            assert trace.events > 0
            return Trace(path)

        trace = yibu.run(main())
        assert ("waiter", "finished") in trace.tasks()
        assert len(trace.slices("waiter")) == 1
        assert (main.__qualname__, "not ended") in trace.tasks(), "it stops the trace itself"

    def test_two_traces_one_after_the_other(self, path):
        async def main():
            event = yibu.Event()
            task = asyncio.create_task(waiter(event))
            with yibu.trace(path):
                await asyncio.sleep(0)
            first = Trace(path)
            with yibu.trace(path):
                event.set()
                await task
            return first, Trace(path)

        first, second = yibu.run(main())
        assert ("waiter", "not ended") in first.tasks()
        assert ("waiter", "finished") in second.tasks()


class TestCallbacks:
    def test_callbacks_and_timers(self, path):
        class Owner:
            def method(self):
                pass

        def function(loop):
            loop.call_soon(loop.stop)

        loop = yibu.new_event_loop()
        with yibu.trace(path):
            loop.call_later(0.001, function, loop)
            loop.call_soon(Owner().method)
            loop.run_forever()
        loop.close()
        trace = Trace(path)
        (method,) = trace.slices(Owner.method.__qualname__)
        assert method["cat"] == "callback"
        assert trace.arrows() == {(function.__qualname__, "BaseEventLoop.stop"): 1}

    def test_timers_lead_back_to_where_they_were_set(self, path):
        async def main():
            loop, event = asyncio.get_running_loop(), yibu.Event()
            loop.call_later(1000, print).cancel()
            loop.call_later(0.001, event.set)
            await event.wait()
            loop.call_at(loop.time() + 0.001, event.clear)
            await yibu.sleep(0.01)
            with pytest.raises(TimeoutError):
                async with yibu.timeout(0.001):
                    await yibu.Event().wait()

        trace = record(path, main())
        arrows, name = trace.arrows(), main.__qualname__
        assert arrows[name, "Event.set"] == arrows[name, "Event.clear"] == 1
        assert arrows[name, "Future"] == arrows["Future", name] == 1, "the timer of sleep()"
        assert arrows[name, "Timeout"] == arrows["Timeout", name] == 1

    def test_a_timer_that_no_step_has_set_has_no_arrow(self, path):
        loop = yibu.new_event_loop()
        with yibu.trace(path):
            loop.call_later(0.001, loop.stop)
            loop.run_forever()
        loop.close()
        assert not Trace(path).arrows()

    def test_waits_of_the_loop(self, path):
        def wake():
            while not loop.metrics().parks:
                time.sleep(0.001)
            time.sleep(0.001)
            loop.call_soon_threadsafe(loop.stop)

        loop = yibu.new_event_loop()
        thread = threading.Thread(target=wake)
        with yibu.trace(path):
            thread.start()
            loop.run_forever()
            thread.join()
        loop.close()
        (idle,) = Trace(path).slices("idle")
        assert idle["dur"] >= 1000

    def test_callbacks_of_futures(self, path):
        async def main():
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(done)
            future.set_result(1)
            await asyncio.sleep(0)

        def done(_future):
            pass

        trace = record(path, main())
        assert trace.arrows()[main.__qualname__, done.__qualname__] == 1

    def test_time_limits(self, path):
        async def main():
            with pytest.raises(TimeoutError):
                async with yibu.timeout(0.001):
                    await asyncio.Event().wait()

        trace = record(path, main())
        assert trace.arrows()["Timeout", main.__qualname__] == 1

    def test_nested_runs(self, path):
        run_program(
            f"""
            import asyncio, yibu
            yibu.allow_nested()

            async def inner():
                await asyncio.sleep(0.001)

            async def outer():
                asyncio.get_running_loop().run_until_complete(inner())

            with yibu.trace({path!r}):
                yibu.run(outer())
            """,
            "-c",
        )
        trace = Trace(path)
        (outer,) = trace.slices("outer")
        inner = trace.slices("inner")
        assert len(inner) == 2
        assert all(
            outer["ts"] <= each["ts"] and each["ts"] + each["dur"] <= outer["ts"] + outer["dur"]
            for each in inner
        )


class TestIO:
    def test_bytes_and_connections(self, path):
        async def serve(reader, writer):
            writer.write((await reader.read(100)) * 2)
            writer.close()

        async def main():
            server = await yibu.start_server(serve, "127.0.0.1", 0)
            reader, writer = await yibu.open_connection(*server.sockets[0].getsockname())
            writer.write(b"x" * 10)
            assert len(await reader.read()) == 20
            writer.close()
            server.close()

        trace = record(path, main())
        (accepts,) = trace.slices("accepts")
        assert accepts["args"]["accepted"] == 1
        assert accepts["cat"] == "io"
        received = [event["args"].get("received", 0) for event in trace.slices("readable")]
        assert sorted(received)[-2:] == [10, 20]
        assert sum(event.get("args", {}).get("sent", 0) for event in trace.of_phase("X")) == 30
        name = serve.__qualname__
        assert trace.arrows()["readable", name] == 1, "the descriptor wakes the task"

    def test_numbers_of_all_lengths(self, path):
        sizes = [1, 9, 10, 99, 100, 999, 1000, 1001, 9_999, 10_010, 100_000, 1_000_007]

        async def main():
            loop = asyncio.get_running_loop()
            first, second = socket.socketpair()
            with first, second:
                first.setblocking(False)
                second.setblocking(False)
                reader, writer = await yibu.open_connection(sock=first)
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=second)
                for size in sizes:
                    transport.write(bytes(size))
                    await reader.readexactly(size)
                transport.close()
                writer.close()
                await writer.wait_closed()

        trace = record(path, main())
        for moved in ("received", "sent"):
            told = [event.get("args", {}).get(moved, 0) for event in trace.of_phase("X")]
            assert sum(told) == sum(sizes), moved
            assert {1, 9, 10, 99, 100, 999, 1000, 1001} <= set(told)

    def test_watched_descriptors(self, path):
        async def main():
            loop = asyncio.get_running_loop()
            first, second = socket.socketpair()
            with first, second:
                first.setblocking(False)
                second.send(b"x")
                assert await loop.sock_recv(first, 1) == b"x"
                readable = asyncio.Event()
                loop.add_reader(first, readable.set)
                second.send(b"x")
                await readable.wait()
                loop.remove_reader(first)
                return first.fileno()

        with yibu.trace(path):
            fd = yibu.run(main())
        assert fd in [event["args"]["fd"] for event in Trace(path).slices("readable")]


class TestThreads:
    def test_jobs(self, path):
        def job():
            pass

        async def main():
            await yibu.to_thread(job)
            await asyncio.get_running_loop().run_in_executor(None, job)

        trace = record(path, main())
        jobs = trace.slices(job.__qualname__)
        assert [event["cat"] for event in jobs] == ["job", "job"]
        assert trace.threads()[jobs[0]["tid"]].startswith("asyncio_")
        arrows = trace.arrows()
        assert arrows[main.__qualname__, job.__qualname__] == 2
        assert arrows[job.__qualname__, "result of a thread"] == 2
        assert arrows["result of a thread", main.__qualname__] == 2

    def test_call_soon_threadsafe(self, path):
        async def main():
            loop, event = asyncio.get_running_loop(), yibu.Event()
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(event.set,), name="poster")
            thread.start()
            await event.wait()
            thread.join()

        trace = record(path, main())
        (post,) = trace.slices("call_soon_threadsafe")
        assert trace.threads()[post["tid"]] == "poster"
        assert trace.arrows()["call_soon_threadsafe", "Event.set"] == 1
        assert trace.arrows()["Event.set", main.__qualname__] == 1

    def test_loops_in_several_threads(self, path):
        async def main(number):
            for _ in range(20):
                await asyncio.sleep(0)

        def run(number):
            yibu.run(main(number))

        with yibu.trace(path):
            threads = [threading.Thread(target=run, args=(n,), name=f"loop {n}") for n in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        trace = Trace(path)
        assert {"loop 0", "loop 1", "loop 2"} <= set(trace.threads().values())
        per_thread = Counter(event["tid"] for event in trace.slices(main.__qualname__))
        assert sorted(per_thread.values()) == [21, 21, 21]
        assert trace.tasks().count((main.__qualname__, "finished")) == 3


class TestFile:
    def test_exception_in_the_body(self, path):
        async def main():
            raise KeyError

        with pytest.raises(KeyError), yibu.trace(path):
            yibu.run(main())
        assert (main.__qualname__, "failed") in Trace(path).tasks()

    def test_nothing_happened(self, path):
        with yibu.trace(path) as trace:
            assert "recording" in repr(trace)
        assert trace.events == trace.lost == 0
        assert "stopped" in repr(trace)
        assert [event["name"] for event in Trace(path).events] == ["process_name"] * 2

    def test_stop_twice_and_after_close(self, path):
        loop = yibu.new_event_loop()
        trace = yibu.trace(path)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        trace.stop()
        events = trace.events
        assert events > 0
        trace.stop()
        assert trace.events == events
        Trace(path)

    def test_unwritable_path(self, tmp_path):
        for wrong, error in [(tmp_path / "no" / "such", FileNotFoundError), (tmp_path, IsADirectoryError)]:
            with pytest.raises(error) as raised:
                yibu.trace(wrong)
            assert raised.value.filename == str(wrong)
        with yibu.trace(tmp_path / "good.json"):
            pass

    def test_trace_inside_trace(self, path):
        with yibu.trace(path):
            with pytest.raises(RuntimeError, match=r"a trace is being recorded already, to '.*out\.json'"):
                yibu.trace(path + ".other")
            assert not os.path.exists(path + ".other")
        with yibu.trace(path):
            pass

    def test_wrong_buffer_size(self, path):
        with pytest.raises(ValueError, match="buffer_size must be at least 64 bytes, not 1"):
            yibu.trace(path, buffer_size=1)

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            pytest.skip("no /dev/full")
        trace = yibu.trace("/dev/full")
        with pytest.raises(OSError) as raised:
            trace.stop()
        assert raised.value.errno == errno.ENOSPC
        trace.stop()

    def test_flood_is_bounded_and_lost_events_are_stated(self, path, caplog):
        async def yielding(count):
            for _ in range(count):
                await asyncio.sleep(0)

        with yibu.trace(path, buffer_size=64 * 64) as trace:
            yibu.run(yielding(20_000))
        assert trace.lost > 0
        read = Trace(path)
        assert read.lost == trace.lost
        told = sum(event["args"]["count"] for event in read.of_phase("i"))
        assert told == trace.lost, "the last ones too"
        # What was not lost is there, and nothing was counted twice.
        steps = len(read.slices(yielding.__qualname__)) + len(read.slices("task"))
        assert 20_001 - trace.lost <= steps < 20_001
        assert f"{trace.lost} events were lost" in caplog.text

    def test_debug_mode_and_observers_beside_it(self, path):
        async def main():
            await asyncio.sleep(0)

        with yibu.observe(), yibu.trace(path):
            yibu.run(main(), debug=True)
        assert len(Trace(path).slices(main.__qualname__)) == 2

    def test_nothing_is_recorded_afterwards(self, path):
        with yibu.trace(path):
            yibu.run(asyncio.sleep(0))
        size = os.path.getsize(path)
        yibu.run(asyncio.sleep(0))
        assert os.path.getsize(path) == size


class TestProcess:
    def test_forked_child_leaves_the_file_alone(self, path):
        run_program(
            f"""
            import asyncio, os, yibu

            async def work():
                for _ in range(100):
                    await asyncio.sleep(0)

            with yibu.trace({path!r}) as trace:
                yibu.run(work())
                pid = os.fork()
                if pid == 0:
                    yibu.run(work())
                    trace.stop()
                    with yibu.trace({path + ".child"!r}):
                        yibu.run(work())
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
                yibu.run(work())
            """,
            "-c",
        )
        parent, child = Trace(path), Trace(path + ".child")
        assert len(parent.slices("work")) == 202
        assert len(child.slices("work")) == 101
        assert {event["pid"] for event in parent.events} & {event["pid"] for event in child.events} == set()

    def test_end_of_the_process(self, path):
        run_program(f"import asyncio, yibu; yibu.trace({path!r}); yibu.run(asyncio.sleep(0))", "-c")
        assert ("sleep", "finished") in Trace(path).tasks()

    @pytest.mark.parametrize("options", [["--trace", "{}"], ["--trace={}"], ["-W", "error", "--trace", "{}"]])
    def test_command_line(self, path, options):
        source = "import asyncio; asyncio.run(asyncio.sleep(0))"
        run_program(source, "-m", "yibu", *[option.format(path) for option in options], "-c")
        assert ("sleep", "finished") in Trace(path).tasks()

    def test_environment(self, path):
        run_program("import yibu; yibu.run(yibu.sleep(0))", "-c", YIBU_TRACE=path)
        assert ("sleep", "finished") in Trace(path).tasks()

    def test_wrong_command_line(self, tmp_path):
        missing = str(tmp_path / "no" / "out.json")
        _, err = run_program("pass", "-m", "yibu", "--trace", missing, "-c", status=2)
        assert f"--trace: [Errno 2] No such file or directory: '{missing}'" in err

    def test_wrong_environment(self):
        _, err = run_program("import yibu", "-c", YIBU_TRACE="x.json", YIBU_TRACE_SIGNAL="no")
        assert err == "yibu: YIBU_TRACE_SIGNAL: 'no' is no signal of this system\n"

    def test_signal_begins_and_stops(self, path):
        former = signal.getsignal(signal.SIGUSR1)
        with yibu.trace(path, signal="USR1") as trace:
            for name in (path, path.replace("out", "out-2")):
                assert not os.path.exists(name)
                signal.raise_signal(signal.SIGUSR1)
                yibu.run(asyncio.sleep(0))
                signal.raise_signal(signal.SIGUSR1)
                assert ("sleep", "finished") in Trace(name).tasks()
                yibu.run(asyncio.sleep(0))
            assert trace.events > 0
        assert signal.getsignal(signal.SIGUSR1) == former


def test_figure_of_the_documentation(path):
    """The script that draws it understands what a trace says."""
    from xml.etree import ElementTree

    from scripts.trace_figure import Figure, main

    async def both():
        task = asyncio.create_task(main(), name="main")
        await task

    trace = record(path, both())
    drawn = ElementTree.fromstring(Figure(trace.events).draw())
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"MainThread", "asyncio_0", "main", "consumer"} <= set(texts)
    arrows = [e for e in drawn.iter("{http://www.w3.org/2000/svg}path") if e.get("class") == "arrow"]
    assert len(arrows) == len(trace.of_phase("s"))
