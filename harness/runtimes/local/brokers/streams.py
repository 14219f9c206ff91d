"""The embedded broker: a Valkey server for streams, from the same binary as the stores."""

from collections.abc import Sequence
from secrets import token_hex

from harness.runtimes.deployment import probe, valkey
from harness.runtimes.deployment.spec import BUNDLED
from harness.runtimes.local.brokers.base import HOST, Broker, BrokerSetting


def find() -> str:
    """Return the version of the bundled Valkey. Raises `EnvironmentFailure` if it does not run."""
    return f"Valkey {valkey.version(valkey.find_binary(BUNDLED))}"


def plan_brokers(settings: Sequence[BrokerSetting]) -> Sequence[Broker]:
    """Plan Valkey servers for streams; `Spec.check` allows only one. Raises as `find` does."""
    return [_plan_broker(setting) for setting in settings]


def _plan_broker(setting: BrokerSetting) -> Broker:
    binary, port, password = valkey.find_binary(BUNDLED), setting.port(), token_hex(16)
    text = valkey.configuration(port=port, password=password, data=setting.data, durability=setting.durability)
    file = setting.private("broker.conf", text)
    return Broker(
        command=(str(binary), str(file)),
        environment={},
        port=port,
        shown=f"redis://{HOST}:{port}/0",
        urls={name: f"redis://:{password}@{HOST}:{setting.via(name, port)}/0" for name in setting.clients},
        serves=probe.store(port, password),
    )
