"""Settings, codec, ids and admission: what they refuse, and what they promise."""

import asyncio
import json
import socket
from pathlib import Path

import pytest

from protocols.errors import UsageError
from protocols.outcomes import Decision, Outcome
from protocols.registry import UnknownProtocol, load
from protocols.service.codec import BadMessage, Codec
from protocols.service.keyed_admission import KeyedAdmission
from protocols.service.settings import Settings, environment
from protocols.service.transaction_ids import TransactionIds
from protocols.two_phase import PROTOCOL
from protocols.two_phase.messages import Commit, Prepare

ENV = {
    "WDM_SERVICE": "stock",
    "WDM_PROTOCOL": "2pc",
    "WDM_LISTEN": "127.0.0.1:1234",
    "WDM_STORE_URL": "redis://127.0.0.1:1/0",
    "WDM_SECRET": "s",
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"WDM_SERVICE": "shipping"}, "shipping"),
        ({"WDM_LISTEN": "127.0.0.1:http"}, "http"),
        ({"WDM_PEERS": "[1"}, "WDM_PEERS"),
        ({"WDM_PEERS": "[1]"}, "WDM_PEERS"),
        ({"WDM_SECRET": ""}, "WDM_SECRET"),
        ({"WDM_SECRET": "choose-your-own-7d1f"}, "WDM_SECRET is the published example"),
        ({"WDM_TIME_LIMIT_MS": "soon"}, "soon"),
    ],
)
def test_settings_name_what_is_wrong(change: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Settings.read({**ENV, **change})


def test_an_instance_in_a_container_is_reached_by_the_containers_name() -> None:
    settings = Settings.read({**ENV, "WDM_LISTEN": "0.0.0.0:5000"})
    assert (settings.node, settings.advertise) == (socket.gethostname(), f"http://{socket.gethostname()}:5000")
    assert Settings.read(ENV).advertise == "http://127.0.0.1:1234"


def test_a_file_may_change_the_environment_of_a_life(tmp_path: Path) -> None:
    file = tmp_path / "environment.json"
    env = {**ENV, "WDM_ENVIRONMENT_FILE": str(file)}
    assert environment(ENV) == ENV
    assert environment(env) == env
    file.write_text(json.dumps({"WDM_SECRET": "other", "WDM_NODE": "stock-7"}))
    settings = Settings.read(environment(env))
    assert (settings.secret, settings.node) == ("other", "stock-7")
    for nonsense, named in (
        ("{", "environment.json is not JSON"),
        ('{"WDM_NODE": 7}', "WDM_NODE must be a text, not 7"),
    ):
        file.write_text(nonsense)
        with pytest.raises(UsageError, match=named):
            environment(env)


def test_settings_do_not_show_secrets() -> None:
    assert "redis://" not in repr(Settings.read(ENV))
    assert "'s'" not in repr(Settings.read(ENV))


def test_an_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(UnknownProtocol, match=r"'3pc'.*2pc"):
        load("3pc")


@pytest.mark.parametrize(
    ("options", "ablate", "named"),
    [({"lock": "x"}, (), "lock"), ({"locks": "x"}, (), "wait-die"), ({}, ("prayer",), "prayer.*unanimous")],
)
def test_a_protocol_names_the_options_and_safeguards_it_has(
    options: dict[str, str], ablate: tuple[str, ...], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        PROTOCOL.configure(options, ablate)


def test_messages_come_back_as_they_were_sent() -> None:
    codec = Codec(PROTOCOL.messages)
    batch = [Prepare("a.1", "order", "stock/0", 5, (7, 2), (("item:é", -3),)), Commit("a.1", "stock/0")]
    assert codec.decode(codec.encode("http://here", batch)) == ("http://here", batch)


@pytest.mark.parametrize("body", [b"", b"\x00", b"hello", b"\x92\xa1x\x91\x92\xa4Nope\x80"])
def test_bytes_that_are_no_batch_are_refused(body: bytes) -> None:
    with pytest.raises(BadMessage):
        Codec(PROTOCOL.messages).decode(body)


def test_the_horizon_is_the_oldest_that_still_runs() -> None:
    ids = TransactionIds("p")
    ids.enlist(7)
    ids.set_unfinished([])
    assert [ids.begin() for _ in range(3)] == [("p~7.0", (7, 0)), ("p~7.1", (7, 0)), ("p~7.2", (7, 0))]
    for ended in ("p~7.1", "other.0", "p~6.0", "p.0", "no name"):
        ids.end(ended)
    assert ids.begin() == ("p~7.3", (7, 0))
    ids.end("p~7.0")
    assert ids.begin() == ("p~7.4", (7, 2))


def test_the_horizon_stays_at_the_oldest_that_a_former_life_left_unfinished() -> None:
    ids = TransactionIds("p")
    assert not ids.capacity.try_acquire(), "nothing begins before the life has its number"
    ids.enlist(7)
    assert ids.capacity.try_acquire()
    assert ids.begin() == ("p~7.0", (0, 0)), "the store has not listed the unfinished ones yet"
    ids.set_unfinished(["p~6.1", "p~3.8", "p~7.0", "q~1.0", "p~3.9"])
    ids.enlist(7)
    ids.enlist(9)  # another process of this name: this one's transactions keep their names
    assert ids.begin() == ("p~7.1", (3, 8))
    ids.set_unfinished(["p~6.1", "p~7.1"])
    assert ids.begin() == ("p~7.2", (6, 1))
    ids.set_unfinished(["q~1.0"])
    assert ids.begin() == ("p~7.3", (7, 0))


async def test_a_key_admits_one_retry_at_a_time_and_more_once_all_are_refused() -> None:
    admission, inside, most = KeyedAdmission(), 0, []

    async def pass_through(verdict: Decision) -> None:
        nonlocal inside
        async with admission.slot(("item:1", "user:2")) as slot:
            inside += 1
            most.append(inside)
            await asyncio.sleep(0)
            slot.outcome = Outcome(verdict)
            inside -= 1

    await asyncio.gather(*(pass_through(Decision.COMMITTED) for _ in range(20)))
    assert max(most) == 1
    await asyncio.gather(*(pass_through(Decision.REFUSED) for _ in range(20)))
    assert max(most) > 1
    assert not admission._limiters


async def test_a_retry_that_is_cancelled_in_line_blocks_no_other() -> None:
    admission = KeyedAdmission()
    async with admission.slot(["item:1"]):
        async with asyncio.timeout(5):
            impatient = asyncio.create_task(_enter(admission))
            await asyncio.sleep(0)
            impatient.cancel()
            await asyncio.gather(impatient, return_exceptions=True)
            patient = asyncio.create_task(_enter(admission))
            await asyncio.sleep(0)
            assert not patient.done()
    await asyncio.wait_for(patient, 5)
    assert not admission._limiters


async def _enter(admission: KeyedAdmission) -> None:
    async with admission.slot(["item:1"]):
        pass
