"""`yibu.trace(spans=...)` with OpenTelemetry's own SDK: which spans tasks get, and within which."""

from textwrap import dedent

import pytest

PROVIDER = """\
import asyncio, contextvars, yibu
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("program")
"""


@pytest.fixture
def record(run):
    """Run a program that has a provider whose spans are in `exporter`."""

    def record(source):
        run("opentelemetry.sdk", PROVIDER + dedent(source))

    return record


def test_spans_of_tasks(record):
    record(
        """
        async def leaf():
            with tracer.start_as_current_span("within"):
                await asyncio.sleep(0)

        async def fails():
            raise ValueError("wrong")

        async def waits():
            await asyncio.Event().wait()

        async def main():
            task = asyncio.create_task(leaf(), name="the leaf")
            shared = asyncio.create_task(leaf(), context=contextvars.copy_context())
            with tracer.start_as_current_span("request"):
                failing = asyncio.create_task(fails())
                waiting = asyncio.create_task(waits())
            assert trace.get_current_span().name == "main"
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([task, shared, failing, waiting])
            assert failing._log_traceback, "nobody has seen the exception"
            failing.exception()

        loop = yibu.new_event_loop()
        with yibu.trace(spans=provider):
            loop.run_until_complete(main())
        first = exporter.get_finished_spans()
        loop.run_until_complete(leaf())
        loop.close()
        assert len(exporter.get_finished_spans()) == len(first) + 1, "only the span of the program"

        spans = {span.name: span for span in first}
        by_id = {span.context.span_id: span for span in first}
        parent = lambda span: by_id[span.parent.span_id].name if span.parent else None
        assert sorted(spans) == ["fails", "leaf", "main", "request", "waits", "within"]
        assert parent(spans["main"]) is None
        assert [parent(span) for span in first if span.name == "leaf"] == ["main", "main"]
        assert parent(spans["fails"]) == parent(spans["waits"]) == "request"
        assert parent(spans["request"]) == "main"
        assert sorted(parent(span) for span in first if span.name == "within") == ["leaf", "main"]
        leaf_attributes = [dict(span.attributes) for span in first if span.name == "leaf"]
        assert {
            "code.function.name": "leaf",
            "asyncio.task.name": "the leaf",
            "asyncio.task.outcome": "finished",
        } in leaf_attributes
        assert spans["waits"].attributes["asyncio.task.outcome"] == "cancelled"
        assert spans["fails"].attributes["asyncio.task.outcome"] == "failed"
        assert spans["fails"].status.status_code is trace.StatusCode.ERROR
        assert spans["fails"].status.description == "wrong"
        assert [event.name for event in spans["fails"].events] == ["exception"]
        assert spans["main"].instrumentation_scope.name == "yibu"
        assert all(span.end_time >= span.start_time for span in first)
        """,
    )


def test_provider_of_the_program_and_a_file_beside(record):
    record(
        """
        import json, os, tempfile

        trace.set_tracer_provider(provider)

        async def main():
            await asyncio.sleep(0)

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.json")
            loop = yibu.new_event_loop()
            with yibu.trace(path, spans=True):
                loop.run_until_complete(main())
            loop.close()
            with open(path) as file:
                assert "main" in {event["name"] for event in json.load(file)}
        assert [span.name for span in exporter.get_finished_spans()] == ["main"]

        for wrong in (1, "tracer"):
            try:
                yibu.trace(spans=wrong)
            except TypeError as error:
                assert str(error) == f"spans must be True, a tracer or a tracer provider, not {wrong!r}"
            else:
                raise AssertionError
        try:
            yibu.trace()
        except TypeError as error:
            assert str(error) == "trace() needs a path, or spans"
        else:
            raise AssertionError
        """,
    )


def test_main_task_of_a_runner(record):
    record(
        """
        async def child():
            await asyncio.sleep(0)

        async def main():
            await asyncio.gather(child(), child())
            with tracer.start_as_current_span("within"):
                pass

        def parents():
            spans = exporter.get_finished_spans()
            exporter.clear()
            by_id = {span.context.span_id: span.name for span in spans}
            return [(span.name, by_id[span.parent.span_id] if span.parent else None) for span in spans]

        def names(pairs):
            return sorted(pairs, key=str)

        expected = [("child", "main"), ("child", "main"), ("main", None), ("within", "main")]
        with yibu.trace(spans=provider):
            yibu.run(main())
            assert names(parents()) == names(expected)

            # The tasks of a runner have its context one after the other.
            with yibu.Runner() as runner:
                runner.run(main())
                runner.run(main())
            assert names(parents()) == names(expected * 2)

            # So does a context that the program passes to runners, which gets back what was current in it.
            context = contextvars.copy_context()
            with yibu.Runner() as runner:
                runner.run(main(), context=context)
            assert names(parents()) == names(expected)
            assert context.run(trace.get_current_span) is trace.INVALID_SPAN

            with asyncio.Runner(loop_factory=yibu.new_event_loop) as runner:
                runner.run(main())
            assert names(parents()) == names(expected)

            with tracer.start_as_current_span("program"):
                yibu.run(child())
            assert names(parents()) == names([("child", "program"), ("program", None)])
        """,
    )


def test_without_opentelemetry(run):
    run(
        "",
        """
        import sys, yibu

        sys.modules["opentelemetry"] = None
        try:
            yibu.trace(spans=True)
        except ModuleNotFoundError as error:
            assert "pip install yibu[otel]" in str(error)
            assert error.name.startswith("opentelemetry")
        else:
            raise AssertionError
        """,
    )
