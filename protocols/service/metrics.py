"""The counts of a process in Prometheus' text format. The process counts plain integers; the text is made for each request."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from protocols.service.service_process import ServiceProcess


class _Collector:
    def __init__(self, process: "ServiceProcess") -> None:
        self._process = process

    def collect(self) -> Iterator[Metric]:
        process = self._process
        requests = CounterMetricFamily(
            "wdm_requests", "Requests answered, by route and status.", labels=("route", "status")
        )
        for route, statuses in process.requests.items():
            for status, count in statuses.items():
                requests.add_metric((route, str(status)), count)
        yield requests
        yield CounterMetricFamily(
            "wdm_store_commands", "Commands sent to the store.", value=process.store.counts.commands
        )
        yield CounterMetricFamily(
            "wdm_store_batches", "Writes to the store's connection.", value=process.store.counts.batches
        )
        yield CounterMetricFamily(
            "wdm_store_connects", "Connections to the store.", value=process.store.counts.connects
        )
        yield CounterMetricFamily(
            "wdm_forced_writes", "Commands that a transaction waited for.", value=process.driver.forced
        )
        yield CounterMetricFamily(
            "wdm_messages_sent", "Messages to other services.", value=process.link.counts.messages
        )
        yield CounterMetricFamily(
            "wdm_message_batches", "Batches that carried them.", value=process.link.counts.batches
        )
        yield CounterMetricFamily(
            "wdm_messages_lost", "Messages that could not be handed over.", value=process.link.counts.lost
        )
        yield CounterMetricFamily(
            "wdm_messages_dead_lettered",
            "Messages that were unreadable or refused.",
            value=process.link.counts.dead_lettered,
        )
        yield CounterMetricFamily(
            "wdm_commands_refused", "Commands that the store refused for good.", value=process.driver.refused
        )
        yield GaugeMetricFamily("wdm_messages_waiting", "Messages that have not left yet.", value=process.link.waiting)
        yield GaugeMetricFamily("wdm_link_up", "0 while the broker cannot be reached.", value=float(process.link.up))
        yield GaugeMetricFamily("wdm_transactions_live", "Transactions in memory.", value=process.driver.live)
        yield GaugeMetricFamily("wdm_store_up", "1 while the store answers.", value=float(process.store.up))


def exposition(process: "ServiceProcess") -> bytes:
    """Return the text for `GET /metrics`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(process))
    return generate_latest(registry)
