"""Exporters of a loop's metrics, with the client libraries that read them and a scrape over loopback."""

import pytest

LOADED = """
import asyncio, yibu, yibu.observing.prometheus, yibu.observing.opentelemetry

async def work():
    await asyncio.sleep(0)

async def load(loop):
    await asyncio.gather(work(), work())

def loaded():
    loop = yibu.new_event_loop()
    loop.run_until_complete(load(loop))
    return loop

"""


@pytest.fixture
def run_loaded(run):
    """Run a program that has a loop which has done something."""

    def run_loaded(needed, source):
        from textwrap import dedent

        run(needed, LOADED + dedent(source))

    return run_loaded


def test_text_as_prometheus_reads_it(run_loaded):
    run_loaded(
        "prometheus_client",
        """
        from prometheus_client.parser import text_string_to_metric_families as read

        with yibu.observe():
            loop = loaded()
            metrics = loop.metrics()
            families = {family.name: family for family in read(yibu.observing.prometheus.text())}
        assert families["asyncio_eventloop_turns"].type == "counter"
        (steps,) = families["asyncio_eventloop_steps"].samples
        assert (steps.name, steps.value) == ("asyncio_eventloop_steps_total", metrics.steps)
        times = families["asyncio_eventloop_time_seconds"].samples
        states = {sample.labels["asyncio_eventloop_state"] for sample in times}
        assert states == {"active", "idle"}
        polls = families["asyncio_coroutine_polls"].samples
        polls = {sample.labels["code_function_name"]: sample.value for sample in polls}
        assert polls["work"] == 4, polls
        assert "asyncio_eventloop_delay_p99_seconds" in families
        loop.close()
        assert "asyncio_eventloop_steps_total" not in yibu.observing.prometheus.text()
        loop = loaded()
        assert "delay" not in yibu.observing.prometheus.text(), "nobody observes"
        loop.close()
        """,
    )


def test_a_scrape_of_the_client_of_prometheus(run_loaded):
    run_loaded(
        "prometheus_client",
        """
        import urllib.request
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.parser import text_string_to_metric_families as read

        registry = CollectorRegistry()
        registry.register(yibu.observing.prometheus.Collector())
        loop = loaded()
        server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as answer:
            scraped = {family.name: family for family in read(answer.read().decode())}
        server.shutdown()
        server.server_close()
        thread.join()
        own = {family.name: family for family in read(yibu.observing.prometheus.text())}
        assert scraped.keys() == own.keys()
        for name, family in scraped.items():
            assert (family.type, family.documentation) == (own[name].type, own[name].documentation)
            assert {(s.name, *s.labels.items()) for s in family.samples} == {
                (s.name, *s.labels.items()) for s in own[name].samples
            }
        loop.close()
        """,
    )


def test_meters_of_opentelemetry(run_loaded):
    run_loaded(
        "opentelemetry.sdk",
        """
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        yibu.observing.opentelemetry.instrument(provider)
        with yibu.observe():
            loop = loaded()
            data = reader.get_metrics_data()
        (scope,) = data.resource_metrics[0].scope_metrics
        assert (scope.scope.name, scope.scope.version) == ("yibu", yibu.__version__)
        found = {metric.name: metric for metric in scope.metrics}
        assert found["asyncio.eventloop.time"].unit == "s"
        (point,) = found["asyncio.tasks.created"].data.data_points
        assert point.value == loop.metrics().tasks_made
        assert dict(point.attributes) == {"asyncio.eventloop.name": "loop-1"}
        assert found["asyncio.tasks.created"].data.is_monotonic
        polls = found["asyncio.coroutine.polls"].data.data_points
        polls = {point.attributes["code.function.name"]: point.value for point in polls}
        assert polls["work"] == 4, polls
        provider.shutdown()
        loop.close()
        """,
    )
