"""Brokers as nodes of the local runtime: one file a kind, one row in `BROKERS`.

A broker is found before the first process starts, or the error names the way to install it. It is a child of the supervisor
with its own name, ports and data, bound to loopback; a broker that the machine runs already is left alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.runtimes.local.brokers import kafka, rabbitmq, streams
from harness.runtimes.local.brokers.base import Broker, BrokerSetting


@dataclass(frozen=True, slots=True)
class BrokerKind:
    """A kind of broker. `find` returns its name and version, `plan_brokers` plans the nodes of one, which form a cluster; both
    raise `EnvironmentFailure` with the way to install it.
    """

    find: Callable[[], str]
    plan_brokers: Callable[[Sequence[BrokerSetting]], Sequence[Broker]]


BROKERS: Mapping[str, BrokerKind] = {
    "streams": BrokerKind(streams.find, streams.plan_brokers),
    "rabbitmq": BrokerKind(rabbitmq.find, rabbitmq.plan_brokers),
    "kafka": BrokerKind(kafka.find, kafka.plan_brokers),
}
