"""The environment of a run on a deployment: real time, a temporary folder, clients over HTTP."""

from pathlib import Path

from harness.history import spans
from harness.runtimes.admin import AdminClient
from harness.runtimes.deployment import temporary
from harness.runtimes.deployment.cost_meter import CostMeter
from harness.runtimes.deployment.deployment import Deployment
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.environment import Environment


def environment(kind: type[Deployment], spec: Spec) -> Environment:
    """Make a deployment of `kind` in a temporary folder, which the environment's `clear` removes."""
    folder = temporary.make("chaos-")
    shop = kind(spec, folder)
    logs: Path = shop.folder.logs

    async def list_unfinished() -> list[dict[str, object]]:
        return await AdminClient(shop.nodes(), shop.secret).unfinished()

    return Environment(
        shop,
        list_unfinished,
        logs,
        lambda: temporary.remove(folder),
        spans=lambda: spans.from_logs(logs),
        costs=CostMeter(shop).read,
        addresses=lambda: shop.plan.addresses,
    )
