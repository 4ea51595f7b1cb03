"""Methods and names that are replaced, put back and replaced again, at any moment.

What was found out about a class holds until something changes; none of these changes may be missed.
"""

import asyncio

import pytest


def counted(seen, original):
    def method(self, *args, **kwargs):
        seen.append(original.__name__)
        return original(self, *args, **kwargs)

    return method


class TestClasses:
    def test_again_and_again(self, impl, run, monkeypatch):
        seen = []
        patched = counted(seen, impl.Lock.release)

        async def main():
            lock = impl.Lock()
            for _ in range(5):
                async with lock:
                    pass
                with monkeypatch.context() as patch:
                    patch.setattr(impl.Lock, "release", patched)
                    async with lock:
                        pass
                async with lock:
                    pass

        run(main())
        assert seen == ["release"] * 5

    def test_more_often_than_an_interpreter_counts(self, impl, run, monkeypatch):
        seen = []
        patched = counted(seen, impl.Queue.put_nowait)

        async def main():
            queue = impl.Queue()
            for _ in range(1100):
                with monkeypatch.context() as patch:
                    patch.setattr(impl.Queue, "put_nowait", patched)
                    await queue.put(None)
                await queue.put(None)
            assert queue.qsize() == 2200

        run(main())
        assert len(seen) == 1100

    def test_other_bases(self, impl, run):
        seen = []

        class Silent:
            pass

        class Telling:
            def release(self):
                seen.append("release")
                return super().release()

        class Lock(Silent, impl.Lock):
            pass

        async def main():
            lock = Lock()
            async with lock:
                pass
            Lock.__bases__ = (Telling, impl.Lock)
            async with lock:
                pass
            Lock.__bases__ = (Silent, impl.Lock)
            async with lock:
                pass

        run(main())
        assert seen == ["release"]


class TestLoops:
    def test_an_attribute_that_comes_and_goes(self, loop, run):
        seen = []
        original = loop.call_soon

        def call_soon(callback, *args, **kwargs):
            seen.append("call_soon")
            return original(callback, *args, **kwargs)

        async def main():
            await asyncio.sleep(0)
            assert not seen
            for turn in range(1, 4):
                loop.call_soon = call_soon
                await asyncio.sleep(0)
                assert len(seen) == turn
                del loop.call_soon
                await asyncio.sleep(0)
                assert len(seen) == turn

        run(main())

    def test_another_class(self, loop, run):
        seen = []

        class Telling(type(loop)):
            def call_soon(self, callback, *args, **kwargs):
                seen.append("call_soon")
                return super().call_soon(callback, *args, **kwargs)

        async def main():
            cls = type(loop)
            await asyncio.sleep(0)
            loop.__class__ = Telling
            await asyncio.sleep(0)
            loop.__class__ = cls
            await asyncio.sleep(0)

        run(main())
        assert seen == ["call_soon"]

    def test_debug_mode_that_comes_and_goes(self, loop, run):
        async def main():
            for debug in (False, True, False):
                loop.set_debug(debug)
                handle = loop.call_soon(int)
                assert bool(handle._source_traceback) is debug
                await asyncio.sleep(0)

        run(main())

    @pytest.mark.parametrize("restored", [False, True])
    def test_between_two_callbacks_of_a_turn(self, loop, run, monkeypatch, restored):
        seen = []

        async def main():
            with monkeypatch.context() as patch:
                run_handle = counted(seen, asyncio.Handle._run)
                loop.call_soon(patch.setattr, asyncio.Handle, "_run", run_handle)
                if restored:
                    loop.call_soon(patch.undo)
                loop.call_soon(int)
                await asyncio.sleep(0)

        run(main())
        # Where it is put back, that is what runs by it; else the callback and the step do.
        assert len(seen) == (1 if restored else 2)

    def test_a_clock_between_two_turns(self, loop, run, monkeypatch):
        fired = []

        async def main():
            now = loop.time()
            loop.call_later(500, fired.append, "timer")
            await asyncio.sleep(0)
            assert not fired
            with monkeypatch.context() as patch:
                patch.setattr("time.monotonic", lambda: now + 1000)
                assert loop.time() == now + 1000
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            assert loop.time() < now + 1000

        run(main())
        assert fired == ["timer"]
