"""Brokers as nodes of the local runtime: one file a kind, one row in `BROKERS`.

A broker is found before anything is started, or the way to get it is told. It is our own child with its own name, ports and
data, bound to loopback; a broker that the machine runs already is left alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.runtimes.local.brokers import kafka, rabbitmq, streams
from harness.runtimes.local.brokers.base import Broker, BrokerSetting


@dataclass(frozen=True, slots=True)
class BrokerKind:
    """`find` says what it is, or raises `EnvironmentFailure` with the way to get it; `lay_out` does so too."""

    find: Callable[[], str]
    lay_out: Callable[[BrokerSetting], Broker]


BROKERS: Mapping[str, BrokerKind] = {
    "streams": BrokerKind(streams.find, streams.lay_out),
    "rabbitmq": BrokerKind(rabbitmq.find, rabbitmq.lay_out),
    "kafka": BrokerKind(kafka.find, kafka.lay_out),
}
