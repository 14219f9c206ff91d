"""The Compose file, read without an engine: the bounds of every container, whatever its image has by default."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docker-compose.yml").read_text("utf-8")
ANCHOR = re.compile(r"^(?P<indent> *)[\w-]+:(?: &(?P<anchor>[\w-]+))?$")
KEY = re.compile(r"^ *(?P<key>[\w<-]+):(?: (?P<value>.*))?$")

Block = dict[str, str]


def block(lines: list[str], start: int, anchors: dict[str, Block]) -> Block:
    """The keys of the mapping that line `start` opens, with those that it merges; a value that is a mapping is empty."""
    indent = len(lines[start]) - len(lines[start].lstrip()) + 2
    own: Block = {}
    merged: Block = {}
    for line in lines[start + 1 :]:
        if line.strip() and not line.startswith(" " * indent):
            break
        found = KEY.match(line)
        if found and len(line) - len(line.lstrip()) == indent:
            key, value = found["key"], (found["value"] or "").partition("  #")[0]
            if key == "<<":
                merged |= anchors[value.removeprefix("*")]
            else:
                own[key] = value
    return merged | own


def services() -> dict[str, Block]:
    """Each service by name, with what its anchors say."""
    lines, anchors, found = TEXT.splitlines(), dict[str, Block](), dict[str, Block]()
    inside = ""
    for number, line in enumerate(lines):
        opened = ANCHOR.match(line)
        if opened and not opened["indent"]:
            inside = line.partition(":")[0]
        if opened and opened["anchor"]:
            anchors[opened["anchor"]] = block(lines, number, anchors)
        if opened and len(opened["indent"]) == 2 and inside == "services":
            found[line.strip(" :")] = block(lines, number, anchors)
    return found


SERVICES = services()
OF_OUR_RECIPE = {"order", "stock", "payment", "links", "elector"}
"""Their image has a user of its own."""

OF_ITS_IMAGE = {"kafka"}
"""Kafka's image has a user of its own as well."""


def test_all_services_are_read() -> None:
    stores = {"order-store", "stock-store", "payment-store"}
    assert SERVICES.keys() == {"gateway", *OF_OUR_RECIPE, *stores, "streams", "rabbitmq", "kafka"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_capability_and_bounds(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == "[ALL]"
    assert service["security_opt"] == '["no-new-privileges:true"]'
    assert service["read_only"] == ("false" if name == "kafka" else "true")
    assert 0 < int(service["pids_limit"]) <= 512
    assert service["mem_limit"]
    assert float(service["cpus"]) > 0
    assert not service.keys() & {"privileged", "cap_add", "pid", "network_mode", "ipc"}
    assert ("user" in service) == (name not in OF_OUR_RECIPE | OF_ITS_IMAGE)
    assert service.get("user", "x").partition(":")[0] not in ("", "0", "root")


@pytest.mark.parametrize("name", sorted(OF_OUR_RECIPE))
def test_a_process_that_kills_itself_is_not_number_one(name: str) -> None:
    """The kernel does not let that one die by its own signal."""
    assert SERVICES[name]["init"] == "true"


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "ports" in service])
def test_a_port_is_published_on_loopback_only(name: str) -> None:
    assert re.fullmatch(r'\["127\.0\.0\.1:[^"]*"\]', SERVICES[name]["ports"])


def test_a_secret_has_no_default() -> None:
    used = re.findall(r"\$\{(WDM_SECRET|WDM_STORE_PASSWORD)([^}]*)\}", TEXT)
    assert len(used) > 6
    assert {rest for _, rest in used} == {"", ":?is not set; copy .env.example to .env and say one of your own there"}


def test_published_examples_are_refused() -> None:
    refused = re.findall(r"case \$\$WDM_STORE_PASSWORD in choose-your-own\*\) [^\n]*; exit 2;; esac", TEXT)
    assert len(refused) == 2, "of the stores, and of RabbitMQ"
