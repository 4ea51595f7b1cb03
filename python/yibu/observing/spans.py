"""Spans of OpenTelemetry for tasks: from where a task is made to its end, within the span that made it.

Needs opentelemetry-api: yibu[otel]. Called by `trace_recording.py`, for `yibu.trace(spans=...)`.
"""

import asyncio
from contextvars import Context, Token
from typing import Any

from yibu import _yibu
from yibu.task_names import name_of

# Tasks of these are the runner's, and tell nothing of the program.
_HOUSEKEEPING = (".shutdown_asyncgens", ".shutdown_default_executor")


class Spans:
    """Makes a span for each native task that is made, until `stop()`."""

    def __init__(self, spans: Any) -> None:
        try:
            from opentelemetry import context, trace
        except ModuleNotFoundError as error:
            reason = f"{error}: spans need OpenTelemetry (pip install yibu[otel])"
            raise ModuleNotFoundError(reason, name=error.name, path=error.path) from None

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
        name = getattr(task.get_coro(), "__qualname__", "task")
        if name.endswith(_HOUSEKEEPING):
            return
        token = None
        # A context that is passed while the loop runs is shared: others may run in it at this moment. While
        # no loop runs it is the one that a runner has for its main task.
        if has_own_context or (asyncio._get_running_loop() is None and _can_be_entered(context)):
            span, token = context.run(self._start_within, name)
        else:
            span = self._start(name)
        if has_own_context:
            token = None  # the context ends with the task
        task.add_done_callback(lambda task: self._end(span, task, token), context=context)

    def _start(self, name: str) -> Any:
        return self._tracer.start_span(name, attributes={"code.function.name": name})

    def _start_within(self, name: str) -> "tuple[Any, Token[Any]]":
        """In the context of the task, where its span is the current one from now on."""
        span = self._start(name)
        return span, self._context.attach(self._trace.set_span_in_context(span))

    def _end(self, span: Any, task: "asyncio.Task[Any]", token: "Token[Any] | None") -> None:
        """In the context of the task: end its span, which a runner's next task is not part of."""
        # Tasks are named later too: by programs, and on 3.11 by `create_task`.
        span.set_attribute("asyncio.task.name", name_of(task))
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
        if token is not None:
            self._context.detach(token)


def _can_be_entered(context: Context) -> bool:
    try:
        context.run(int)
    except RuntimeError:
        return False  # code runs in it
    return True
