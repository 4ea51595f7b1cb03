"""Spans of OpenTelemetry for tasks: from where a task is made to its end, within the span that made it.

Needs opentelemetry-api: yibu[otel]. Called by `trace_recording.py`, for `yibu.trace(spans=...)`.
"""

import asyncio
from contextvars import Context
from typing import Any

from yibu import _yibu


class Spans:
    """Makes a span for each native task that is made, until `stop()`."""

    def __init__(self, spans: Any) -> None:
        from opentelemetry import context, trace

        if spans is True:
            spans = trace.get_tracer_provider()
        if hasattr(spans, "get_tracer"):
            spans = spans.get_tracer("yibu", _yibu.__version__)
        if not hasattr(spans, "start_span"):
            raise TypeError(f"spans must be True, a tracer or a tracer provider, not {spans!r}")
        self._tracer: Any = spans
        self._context: Any = context
        self._trace: Any = trace
        _yibu._on_task(self._begin)

    def stop(self) -> None:
        """Make no more; the tasks that have a span end it."""
        _yibu._on_task(None)

    def _begin(self, task: "asyncio.Task[Any]", context: Context, has_own_context: bool) -> None:
        # Others use a context that is not its own, and may run in it at this moment.
        span = context.run(self._start_within, task) if has_own_context else self._start(task)
        task.add_done_callback(lambda task: self._end(span, task), context=context)

    def _start(self, task: "asyncio.Task[Any]") -> Any:
        name = getattr(task.get_coro(), "__qualname__", "task")
        return self._tracer.start_span(name, attributes={"code.function.name": name})

    def _start_within(self, task: "asyncio.Task[Any]") -> Any:
        """In the context of the task, where its span is the current one from now on."""
        span = self._start(task)
        self._context.attach(self._trace.set_span_in_context(span))
        return span

    def _end(self, span: Any, task: "asyncio.Task[Any]") -> None:
        # Tasks are named later too: by programs, and on 3.11 by `create_task`.
        span.set_attribute("asyncio.task.name", task.get_name())
        outcome = "finished"
        if task.cancelled():
            outcome = "cancelled"
        # `exception()` would count as having retrieved it.
        elif (error := task._exception) is not None:
            outcome = "failed"
            span.record_exception(error)
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, str(error)))
        span.set_attribute("asyncio.task.outcome", outcome)
        span.end()
