"""Metrics of all loops for OpenTelemetry: observable instruments, which the program's meter provider reads.

    yibu.observing.opentelemetry.instrument()             # needs opentelemetry-api: yibu[otel]

Called by programs, once.
"""

from collections.abc import Callable, Iterable
from typing import Any

from yibu._yibu import __version__
from yibu.observing.instruments import INSTRUMENTS, Instrument, loops


def instrument(meter_provider: Any = None) -> None:
    """Make the instruments, of the given meter provider or of the one that the program has set."""
    from opentelemetry.metrics import get_meter

    meter = get_meter("yibu", __version__, meter_provider)
    for each in INSTRUMENTS:
        make = meter.create_observable_counter if each.kind == "counter" else meter.create_observable_gauge
        make(each.name, callbacks=[_callback(each)], unit=each.unit, description=each.description)


def _callback(each: Instrument) -> Callable[[Any], Iterable[Any]]:
    from opentelemetry.metrics import Observation

    return lambda _options: [Observation(value, labels) for labels, value in each.samples(loops())]
