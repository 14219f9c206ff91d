"""Scenarios: what is packaged, what a seed draws, and how a mistake is reported."""

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from harness import faults
from harness.run import scenarios
from harness.run.folder import toml
from harness.run.plan import Plan, as_table, crashing_at
from harness.run.scenarios import Scenario, load, packaged, read, spread
from protocols.errors import UsageError

LISTED = (
    "coordinator-crash",
    "participant-crash",
    "store-crash",
    "kill-one-at-a-time",
    "pause-coordinator",
    "partition-order-stock",
    "slow-payment",
    "flaky-network",
    "power-cut",
    "disk-full",
    "crash-points",
    "hot-item",
    "everything",
    "set-anew",
    "failover",
    "split-bundle",
)
FAILPOINTS = ("order:a", "order:b", "order:c", "order:d", "stock:a", "stock:b", "payment:a", "payment:b")

GOOD = """
summary = "A test"
duration_s = 10

[workload]
name = "checkout"
users = 3

[[fault]]
kind = "crash"
target = ["order", "stock"]
at_s = [1, 2]
for_s = 0.5
every_s = [1.0, 2.0]

[[fault]]
kind = "delay"
delay_ms = [10, 20]
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def test_every_listed_scenario_is_packaged() -> None:
    assert set(LISTED) <= set(packaged())
    assert scenarios.DEFAULT in LISTED


@pytest.mark.parametrize("name", LISTED)
def test_a_packaged_scenario_is_one_that_can_be_run(name: str) -> None:
    scenario = load(name)
    assert scenario.summary
    assert 10 <= scenario.duration_s <= 60
    assert scenario.must_hold
    schedule = scenario.schedule(1, FAILPOINTS)
    assert schedule
    assert all(0 < fault.at_s < scenario.duration_s and fault.for_s > 0 for fault in schedule)
    assert all(one.at_s <= other.at_s for one, other in pairwise(schedule))


@pytest.mark.parametrize("name", LISTED)
def test_a_seed_decides_the_schedule(name: str) -> None:
    scenario = load(name)
    assert scenario.schedule(5, FAILPOINTS) == scenario.schedule(5, FAILPOINTS)
    if name != "crash-points":
        assert scenario.schedule(5, FAILPOINTS) != scenario.schedule(6, FAILPOINTS)


def test_one_more_fault_leaves_the_draws_of_the_others(write) -> None:
    one = read(write(GOOD)).schedule(1)
    more = read(write(GOOD + '\n[[fault]]\nkind = "pause"\ntarget = "any"\nat_s = [1, 5]\nfor_s = 1\n')).schedule(1)
    assert [fault for fault in more if fault.kind != "pause"] == one


def test_texts_are_taken_in_turn_and_ranges_drawn_anew(write) -> None:
    schedule = read(write(GOOD)).schedule(3)
    crashes = [fault for fault in schedule if fault.kind == "crash"]
    assert len(crashes) >= 4
    assert [fault.targets for fault in crashes[:4]] == [("order",), ("stock",), ("order",), ("stock",)]
    assert 1 <= crashes[0].at_s <= 2
    gaps = [later.at_s - earlier.at_s for earlier, later in pairwise(crashes)]
    assert all(0.999 <= gap <= 2.001 for gap in gaps)
    assert len(set(gaps)) > 1
    (delay,) = (fault for fault in schedule if fault.kind == "delay")
    assert 10 <= delay.number("delay_ms") <= 20


def test_every_failpoint_comes_once() -> None:
    schedule = load("crash-points").schedule(1, FAILPOINTS)
    assert sorted(fault.text("failpoint") for fault in schedule[: len(FAILPOINTS)]) == sorted(FAILPOINTS)


def test_failpoints_of_one_service_are_spread() -> None:
    names = spread(FAILPOINTS)
    assert sorted(names) == sorted(FAILPOINTS)
    assert not any(
        one[:4] == other[:4] == last[:4] for one, other, last in zip(names, names[1:], names[2:], strict=False)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("duration_s = 10", "duration = 10"), r"mine.toml:3: unknown key 'duration'; did you mean 'duration_s'\?"),
        (("duration_s = 10", "duration_s = 0"), r"mine.toml:3: duration_s = 0 is not a number from 0.1 to 3600"),
        (("duration_s = 10", 'duration_s = "long"'), r"mine.toml:3: duration_s = 'long' is not a number"),
        (("duration_s = 10", "workers = 1.5"), r"mine.toml:3: workers = 1.5 is not a number from 1 to 64"),
        (
            ("duration_s = 10", 'durability = "never"'),
            r"mine.toml:3: durability = 'never' is not 'everysec' or 'always'",
        ),
        (
            ("duration_s = 10", 'must_hold = ["luck"]'),
            r"mine.toml:3: must_hold = \['luck'\] is not a list of: conservation",
        ),
        (('summary = "A test"', ""), r"mine.toml: summary is missing"),
        (('name = "checkout"', 'name = "chekout"'), r"mine.toml:6: no workload 'chekout'; did you mean 'checkout'\?"),
        (('name = "checkout"', ""), r"mine.toml:5: \[workload\] needs a name, one of: checkout"),
        (("users = 3", "users = 0"), r"mine.toml:7: users = 0: Expected `int` >= 1"),
        (("users = 3", "uesrs = 3"), r"mine.toml:7: unknown key 'uesrs' in \[workload\]; did you mean 'users'\?"),
        (('kind = "crash"', 'kind = "crsh"'), r"mine.toml:10: kind = 'crsh' is no fault; did you mean 'crash'\?"),
        (('kind = "crash"', ""), r"mine.toml:9: kind = None is no fault; there are: crash"),
        (("for_s = 0.5", "for = 0.5"), r"mine.toml:13: unknown key 'for' in \[fault\]"),
        (
            ("for_s = 0.5", "for_s = -1"),
            r"mine.toml:13: for_s = -1 is not a number from 0 to 3600, or two as \[from, to\]",
        ),
        (("for_s = 0.5", "for_s = [2, 1]"), r"mine.toml:13: for_s = \[2, 1\] is not"),
        (("every_s = [1.0, 2.0]", "every_s = 0"), r"mine.toml:14: every_s = 0 is not at least 0.05"),
        (('target = ["order", "stock"]', "target = 3"), r"mine.toml:11: target = 3 is not a text, or a list of texts"),
        (
            ("delay_ms = [10, 20]", "delay_ms = [10, 1e9]"),
            r"mine.toml:18: delay: delay_ms=1000000000.0 is not a number",
        ),
        (("delay_ms = [10, 20]", 'delay_ms = "x"'), r"mine.toml:18: delay_ms = 'x' is not a number"),
        (("delay_ms = [10, 20]", "reset = 1"), r"mine.toml:18: unknown key 'reset' in \[fault\]"),
        (("[[fault]]", "[fault]"), r"mine.toml:16: not valid TOML"),
        (("users = 3", "users = "), r"mine.toml:7: not valid TOML"),
    ],
)
def test_a_mistake_is_reported_with_file_line_and_key(write, change: tuple[str, str], message: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(UsageError, match=message):
        read(write(GOOD.replace(*change, 1)))


def test_names_that_do_not_exist() -> None:
    with pytest.raises(UsageError, match="no scenario 'store-crsh'; did you mean 'store-crash'"):
        load("store-crsh")
    with pytest.raises(UsageError, match=r"scenario nowhere.toml does not exist"):
        load("nowhere.toml")


def test_a_folder_is_no_scenario(tmp_path: Path) -> None:
    (tmp_path / "x.toml").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        load(str(tmp_path / "x.toml"))


def test_crash_at_replaces_the_faults() -> None:
    plan = crashing_at(Plan(load("store-crash"), "unprotected", 1), "stock:before-send:changed")
    schedule = plan.scenario.schedule(1)
    assert {(fault.kind, fault.settings["failpoint"]) for fault in schedule} == {
        ("crash-at", "stock:before-send:changed")
    }
    assert schedule[0].targets == ("services",)
    assert plan.command().endswith(" --crash-at stock:before-send:changed")


def test_a_point_that_the_protocol_does_not_have() -> None:
    with pytest.raises(
        UsageError, match="unprotected has no failpoint 'stock:before-send:chang'; did you mean 'stock:"
    ):
        crashing_at(Plan(load("store-crash"), "unprotected", 1), "stock:before-send:chang")


def test_run_toml_is_toml_and_says_everything(write) -> None:
    scenario: Scenario = read(write(GOOD))
    plan = Plan(scenario, "2pc", 7, named='odd "name"\\\n', options={"locks": "no-wait"}, ablate=("guard",))
    table = tomllib.loads(toml(as_table(plan, scenario.schedule(7))))
    assert table["command"] == plan.command()
    assert table["command"].endswith("--option locks=no-wait --ablate guard")
    assert table["workload"]["users"] == 3
    assert table["claims"]["isolation"] == "strict-serializable"
    assert [row["at_s"] for row in table["fault"]] == [fault.at_s for fault in scenario.schedule(7)]


def test_only_what_needs_a_proxy_gets_one(write) -> None:
    needs = {name: Plan(load(name), "2pc", 1).spec().breakable for name in LISTED}
    assert needs["power-cut"]
    assert needs["partition-order-stock"]
    assert not needs["kill-one-at-a-time"]
    assert all(name in faults.KINDS for name in ("crash", "pause", "delay"))


def test_a_target_that_need_not_be_there_is_left_out_or_meant(write) -> None:
    scenario = read(write(GOOD.replace('["order", "stock"]', '["order", "broker?"]')))
    without, there = (scenario.schedule(1, brokers=brokers) for brokers in ((), ("broker",)))
    assert {fault.targets for fault in without if fault.kind == "crash"} == {("order",)}
    assert {fault.targets for fault in there if fault.kind == "crash"} == {("order",), ("broker",)}
    assert [fault.at_s for fault in without] == [fault.at_s for fault in there]
