"""Metrics of all loops for Prometheus: as text, which needs no package, or as a collector of its client.

    body = yibu.observing.prometheus.text()               # what a scrape gets
    prometheus_client.REGISTRY.register(Collector())      # beside the program's own metrics: yibu[prometheus]

Called by programs.
"""

from collections.abc import Iterator
from typing import Any

from yibu.observing.instruments import INSTRUMENTS, Instrument, loops

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_UNITS = {"s": "_seconds", "By": "_bytes", "1": "_ratio"}


def _name(instrument: Instrument) -> str:
    """The name by the rules of Prometheus, without the `_total` of counters."""
    return instrument.name.replace(".", "_") + _UNITS.get(instrument.unit, "")


def _label(name: str) -> str:
    return name.replace(".", "_")


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def text() -> str:
    """The metrics of all loops that are not closed, in the text format of Prometheus."""
    lines, found = [], loops()
    for instrument in INSTRUMENTS:
        samples = list(instrument.samples(found))
        if not samples:
            continue
        name = _name(instrument) + ("_total" if instrument.kind == "counter" else "")
        lines += [f"# HELP {name} {instrument.description}", f"# TYPE {name} {instrument.kind}"]
        for labels, value in samples:
            pairs = ",".join(f'{_label(key)}="{_escape(text)}"' for key, text in labels.items())
            lines.append(f"{name}{{{pairs}}} {float(value)!r}")
    return "\n".join([*lines, ""])


class Collector:
    """A collector for a registry of `prometheus_client`."""

    def describe(self) -> list[Any]:
        """Nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Any]:
        """The metric families."""
        from prometheus_client import core  # type: ignore[import-not-found,unused-ignore]

        found = loops()
        for instrument in INSTRUMENTS:
            samples = list(instrument.samples(found))
            if not samples:
                continue
            labels = list(samples[0][0])
            is_counter = instrument.kind == "counter"
            kind: Any = core.CounterMetricFamily if is_counter else core.GaugeMetricFamily
            family = kind(_name(instrument), instrument.description, labels=[_label(each) for each in labels])
            for values, value in samples:
                family.add_metric([values[label] for label in labels], value)
            yield family
