"""A node of Kafka formats its log whatever the id of its cluster begins with: one of 64 begins with a dash, like an option."""

import subprocess
import uuid
from pathlib import Path

import pytest

from harness.runtimes.deployment.ports import Ports
from harness.runtimes.local.brokers import kafka
from harness.runtimes.local.brokers.base import BrokerSetting
from tests.brokers import missing

DASHES = uuid.UUID(bytes=bytes([0xFB]) * 16)  # "-_v7-_v7..." as text

pytestmark = pytest.mark.broker


def test_an_id_that_begins_with_a_dash_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing("kafka")
    monkeypatch.setattr(kafka.uuid, "uuid4", lambda: DASHES)
    ports = Ports()

    def private(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    data = tmp_path / "data"
    data.mkdir()
    try:
        setting = BrokerSetting("broker", data, "everysec", ("order-1",), ports.take, lambda _, port: port, private)
        (node,) = kafka.plan_brokers([setting])
    finally:
        ports.close()
    script = node.command[2].replace("exec ", ": ")  # the format alone, and no server
    made = subprocess.run(
        [*node.command[:2], script, *node.command[3:]], capture_output=True, text=True, timeout=60, check=False
    )
    assert made.returncode == 0, made.stderr
    assert "cluster.id=-_v7" in (data / "meta.properties").read_text()
