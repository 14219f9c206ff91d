"""The addresses of `wdm judge`: a file, options, and the gateway, in this order of precedence from the options on."""

import json
from pathlib import Path

import pytest

from tests.judge import hostile
from tests.judge.examined import judge
from wdm.cli import main


async def test_addresses_come_from_a_file_and_an_option_wins(tmp_path: Path) -> None:
    """The orders are at a server of error pages, which the first request reaches at the payment's address."""
    async with hostile.server("error-pages") as url:
        urls = {"ORDER_URL": "http://127.0.0.1:9", "STOCK_URL": url, "PAYMENT_URL": "http://127.0.0.1:9"}
        (tmp_path / "urls.json").write_text(json.dumps(urls))
        examined = await judge(
            tmp_path, "--urls", str(tmp_path / "urls.json"), "--payment-url", url, "--part", "contract", budget_s=10
        )
    assert examined.document["address"] == f"http://127.0.0.1:9 {url}"
    assert "502" in examined.document["headline"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "no address for /orders: give the URL of the gateway, or --orders-url"),
        (["--urls", "missing.json"], "missing.json: there is no such file"),
        (["--batch", "missing.toml"], "batch missing.toml does not exist"),
        (["http://h", "--budget", "1s"], "'1s' is no time from 10s to 12h; give one such as 90s, 5m or 1h"),
        (["http://h", "--settle", "soon"], "'soon' is no time from 0s to 1h"),
        (["ftp://h"], "'ftp://h' is no address of a shop"),
        (["http://h", "--part", "kil"], "no part 'kil'"),
    ],
)
def test_a_wrong_value_is_named(
    arguments: list[str], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["judge", *arguments]) == 2
    assert part in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [], "a wrong value leaves no folder"
