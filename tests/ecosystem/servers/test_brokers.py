"""Clients of message brokers: what their users do, on the real server."""

import pytest

pytestmark = pytest.mark.time_limit(150)


def test_aio_pika(work_with):
    work_with("aio_pika", "on_aio_pika", "rabbitmq")


def test_nats(work_with):
    work_with("nats", "on_nats", "nats")


def test_aiomqtt(work_with):
    work_with("aiomqtt", "on_aiomqtt", "mosquitto")


@pytest.fixture(scope="module")
def kafka():
    """The broker that librdkafka has for its own tests: Debian has none."""
    confluent_kafka = pytest.importorskip("confluent_kafka")
    broker = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "127.0.0.1"})
    (address,) = (f"{each.host}:{each.port}" for each in broker.list_topics(timeout=30).brokers.values())
    yield address
    broker.flush(1)


def test_aiokafka(work_with, kafka):
    work_with("aiokafka", "on_aiokafka", None, kafka)
