"""The file of a batch and the file of addresses: values, variants, and errors that name file, line and shop."""

import json
from pathlib import Path

import pytest

from harness.judge.batch_file import BatchEntry, read_batch
from harness.judge.examination import Limits
from harness.judge.urls import read_urls
from protocols.errors import UsageError

ONE = "http://127.0.0.1:8001"
THREE = {"orders": "http://127.0.0.1:1", "stock": "http://127.0.0.1:2", "payment": "http://127.0.0.1:3"}


def entries(folder: Path, text: str) -> list[BatchEntry]:
    file = folder / "shops.toml"
    file.write_text(text, "utf-8")
    return read_batch(file, Limits(), "read-committed", ["contract"])


def test_a_table_has_defaults_from_the_command_line_and_paths_of_its_folder(tmp_path: Path) -> None:
    plain, full = entries(
        tmp_path,
        f"""
        [[shop]]
        name = "Plain"
        url = "{ONE}"
        [[shop]]
        name = "Team 2: best/shop"
        folder = "two"
        start = "node server.js"
        urls = "urls.json"
        node = "server"
        budget = "3m"
        settle = 5
        p99_ms = 250
        repeat = 1
        isolation = "read-uncommitted"
        parts = ["retry", "kill"]
        ready_within = "90s"
        pidfile.order = "run/order.pid"
        start_cmd.order = "./order.sh"
        env.PORT = 8002
        """,
    )
    assert (plain.limits, plain.isolation, plain.parts) == (Limits(), "read-committed", ("contract",))
    assert dict(plain.urls) == {"orders": ONE, "stock": ONE, "payment": ONE}
    assert full.slug == "Team-2-best-shop"
    assert full.limits == Limits(budget_s=180, settle_s=5, repeat=1, limit_p99_ms=250)
    assert (full.isolation, full.parts, full.ready_s) == ("read-uncommitted", ("retry", "kill"), 90)
    assert full.urls_file == tmp_path / "two/urls.json"
    assert full.nodes["pidfile"] == (f"order={tmp_path}/two/run/order.pid",)
    assert full.nodes["start_cmd"] == ("order=./order.sh",)
    assert full.env == {"PORT": "8002"}


@pytest.mark.parametrize(
    ("table", "line", "part"),
    [
        ('name = "a"\nurll = "http://127.0.0.1:1"', 3, "unknown key 'urll' in [shop]; did you mean 'url'?"),
        ('name = "a"', 2, "shop 'a': no address: give url, orders_url and the others, or urls"),
        ('name = "a"\nurl = "localhost"', 3, "'localhost' is no address of a shop"),
        ('name = "a"\nurl = "http://h"\nbudget = "5d"', 4, "budget: '5d' is no time from 10s to 12h"),
        ('name = "a"\nurl = "http://h"\nrepeat = true', 4, "repeat is True; give a number from 1 to 1000"),
        ('name = "a"\nurl = "http://h"\nisolation = "none-at-all"', 4, "isolation has no 'none-at-all'"),
        ('name = "a"\nurl = "http://h"\nparts = ["kil"]', 4, "parts has no 'kil'; did you mean 'kill'?"),
        ('name = "a"\nurl = "http://h"\nnode = "x"', 4, "node belongs to start, which is missing"),
        ('name = "a"\nurl = "http://h"\nstart = "x"\ncompose = "c.yml"', 5, "start and compose are both given"),
        ('name = "a"\nurl = "http://h"\npid = 7', 4, "give a table: pid.NODE = VALUE"),
        ('name = " "\nurl = "http://h"', 2, "name is ' '; give a text, or leave it out"),
        ('url = "http://h"', 1, "shop 1: it needs a name"),
        (
            'name = "a b"\nurl = "http://h"\n[[shop]]\nname = "A-b"\nurl = "http://h"',
            5,
            "a second shop is called 'A-b'",
        ),
        ('name = "a"\nurl = "http://h"\nurl = "http://i"', 4, "not valid TOML"),
    ],
)
def test_an_error_names_the_file_the_line_and_the_shop(tmp_path: Path, table: str, line: int, part: str) -> None:
    with pytest.raises(UsageError) as raised:
        entries(tmp_path, f"[[shop]]\n{table}\n")
    assert str(raised.value).startswith(f"{tmp_path}/shops.toml:{line}: ")
    assert part in str(raised.value)


@pytest.mark.parametrize("text", ["", 'shop = "a"', "shop = []"])
def test_a_file_without_shops_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"it needs a table \[\[shop\]\] for each shop"):
        entries(tmp_path, text)


@pytest.mark.parametrize(
    "content",
    [
        {"ORDER_URL": THREE["orders"], "STOCK_URL": THREE["stock"], "PAYMENT_URL": THREE["payment"]},
        {"order_url": THREE["orders"], "stock_url": THREE["stock"], "payment_url": THREE["payment"]},
        {"urls": {"orderUrl": THREE["orders"], "stockUrl": THREE["stock"], "paymentUrl": THREE["payment"]}},
        {name: {"url": url, "timeout": 5} for name, url in THREE.items()},
        {"GATEWAY_URL": THREE["orders"], "stock": THREE["stock"], "Payment-Service": THREE["payment"]},
    ],
)
def test_variants_of_the_file_of_addresses_are_read(tmp_path: Path, content: object) -> None:
    (tmp_path / "urls.json").write_text(json.dumps(content), "utf-8")
    assert read_urls(tmp_path / "urls.json") == THREE


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "there is no such file"),
        ("{", "it cannot be read as JSON"),
        ('["http"]', "it has no address; it needs the keys ORDER_URL, STOCK_URL and PAYMENT_URL"),
        ('{"order": "http://a", "ORDER_URL": "http://b"}', "several addresses of orders: http://a, http://b"),
    ],
)
def test_a_wrong_file_of_addresses_is_named(tmp_path: Path, text: str | None, part: str) -> None:
    file = tmp_path / "urls.json"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(UsageError) as raised:
        read_urls(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert part in str(raised.value)
