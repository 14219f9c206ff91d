"""Where an option's value comes from, and how a wrong one is reported."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from wdm.cli import main

Said = Callable[..., str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("WDM_PORT", "WDM_CONFIG", "WDM_PROTOCOL", "WDM_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")


def port_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The port that `wdm doctor` looks at."""
    assert main(["doctor", "--json", *arguments]) == 0
    findings = {one["what"]: one["found"] for one in json.loads(capsys.readouterr().out)}
    return str(findings["port"]).split()[0]


def test_flag_over_variable_over_table_over_flat_key_over_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert port_of(capsys) == "8000"
    Path("wdm.toml").write_text("port = 18001\n")
    assert port_of(capsys) == "18001"
    Path("wdm.toml").write_text("port = 18001\n[doctor]\nport = 18002\n[up]\nport = 18009\n")
    assert port_of(capsys) == "18002"
    monkeypatch.setenv("WDM_PORT", "18003")
    assert port_of(capsys) == "18003"
    assert port_of(capsys, "--port", "18004") == "18004"


def test_a_file_named_with_config_is_read_instead(capsys: pytest.CaptureFixture[str]) -> None:
    Path("wdm.toml").write_text("port = 18001\n")
    Path("other.toml").write_text("port = 18005\n")
    assert port_of(capsys, "--config", "other.toml") == "18005"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('protocol = "2pc\n', "wdm.toml:1: not valid TOML"),
        ("\n\n[up\n", "wdm.toml:3: not valid TOML"),
        ("workrs = 2\n", "wdm.toml:1: unknown key 'workrs': no command has an option --workrs; did you mean 'workers'?"),
        ("[up]\nworkers = 2\nprot = 1\n", "wdm.toml:3: unknown key 'prot': `wdm up` has no option --prot"),
        ("[upp]\nworkers = 2\n", "wdm.toml:1: no command 'upp'; did you mean 'up'?"),
        ('[up]\nworkers = "2"\n', "wdm.toml:2: workers = '2': must be a whole number"),
        ("[up]\nworkers = true\n", "wdm.toml:2: workers = True: must be a whole number"),
        ("[up]\nworkers = 0\n", "wdm.toml:2: workers = 0: 0 is not in the range"),
        ("respawn-after-s = 'soon'\n", "wdm.toml:1: respawn-after-s = 'soon': must be a number"),
        ("detach = 1\n", "wdm.toml:1: detach = 1: must be true or false"),
        ("durability = 'never'\n", "wdm.toml:1: durability = 'never': 'never' is not one of"),
        ("store-url = 'stock=redis://x'\n", "wdm.toml:1: store-url = 'stock=redis://x': must be a list"),
    ],
)  # fmt: skip
def test_a_broken_file_is_reported_with_line_and_key(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wdm.toml").write_text(text)
    assert main(["up"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path(".wdm").exists()


ALL_ELSEWHERE = [
    word for service in ("order", "stock", "payment") for word in ("--store-url", f"{service}=redis://127.0.0.1:1")
]
"""Every store is a server of somebody else's."""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("up", "--protocol", "3pc"), "unknown protocol '3pc'; installed: 2pc"),
        (("up", "--locks", "none"), "locks='none' is not one of: wait-die, no-wait, wound-wait"),
        (("up", "--option", "speed=11"), "2pc has no option 'speed'"),
        (("up", "--option", "speed"), "--option takes NAME=VALUE, not 'speed'"),
        (("up", "--transport", "pigeon"), "Invalid value for '--transport'"),
        (("up", "--workers", "0"), "Invalid value for '--workers'"),
        (("up", "--store-url", "cart=redis://127.0.0.1"), "store-url names the service 'cart'"),
        (("up", "--store-url", "stock=http://127.0.0.1"), "store-url of stock must start with redis://"),
        (
            ("up", "--protocol", "lua", "--store-url", "stock=redis://127.0.0.1"),
            "lua keeps all data in one store: --store-url order=URL, not stock=",
        ),
        (("up", "--protocol", "lua", "--transport", "streams"), "lua sends no messages from service to service"),
        (("up", "--option", "locks=escrow", "--option", "locks=no-wait"), "--option sets locks twice"),
        (("up", "--locks", "escrow", "--option", "locks=no-wait"), "--locks escrow and --option locks=no-wait"),
        (
            ("up", "--port", "0", "--store-url", "stock=redis://a", "--store-url", "stock=redis://b"),
            "--store-url sets stock twice",
        ),
        (("up", *ALL_ELSEWHERE, "--store-binary", "path"), "--store-binary is for stores that wdm starts"),
        (("up", *ALL_ELSEWHERE, "--durability", "always"), "--durability is for stores that wdm starts"),
        (("check", "--ablate", "escrow-guard"), "--ablate escrow-guard would change nothing: it is for --locks escrow"),
        (
            ("check", "--locks", "escrow", "--ablate", "deadlock-policy"),
            "--ablate deadlock-policy would change nothing: it has nothing to do with --locks escrow",
        ),
        (("up", "--config", "none.toml"), "configuration file none.toml does not exist"),
        (("uq",), "no command 'uq'; there are: up, down"),
        (("logs", "--line", "x"), "see `wdm logs --help`"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path(".wdm").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status",), "nothing is up in"),
        (("logs",), "there are no logs in"),
        (("txn", "list"), "nothing is up in"),
        (("up", "--port", "0", "--store-binary", "/no/such/server"), "store binary '/no/such/server' is not a file"),
        (("up", "--port", "0", "--store-binary", "/bin/true"), "/true is no Valkey or Redis server"),
        (
            ("up", "--port", "0", "--store-url", "stock=redis://:secret@127.0.0.1:9"),
            "the stock store at redis://127.0.0.1:9 cannot be",
        ),
    ],
)
def test_what_the_environment_lacks_is_one_line_and_exit_code_4(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--quiet", *arguments]) == 4
    error = capsys.readouterr().err
    assert message in error
    assert "secret" not in error
    assert error.count("\n") == 1


def test_down_where_nothing_runs_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down"]) == 0
    assert "nothing was running" in capsys.readouterr().err


def test_quiet_leaves_only_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["protocols", "--json", "--quiet"]) == 0
    error = capsys.readouterr()
    assert error.err == ""
    assert json.loads(error.out)[0]["name"] == "2pc"


def test_a_broker_that_is_not_there_is_an_environment_failure_with_the_way_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WDM_KAFKA_JARS", str(tmp_path / "nowhere"))
    monkeypatch.setattr("harness.runtimes.local.brokers.rabbitmq.DEBIAN", tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None if name == "rabbitmq-server" else f"/bin/{name}")
    for transport, way_out in (("kafka", "harness.runtimes.deployment.jars"), ("rabbitmq", "apt-get install")):
        assert main(["up", "--port", "0", "--transport", transport]) == 4
        assert way_out in capsys.readouterr().err
        assert main(["doctor", "--json"]) == 0
        rows = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
        assert rows[f"transport {transport}"]["state"] == "absent"
        assert way_out in rows[f"transport {transport}"]["found"]
        assert rows["transport streams"]["state"] == "ok"
