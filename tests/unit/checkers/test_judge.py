"""Findings against claims: claimed and held, claimed and violated, not claimed and seen."""

from itertools import pairwise
from types import SimpleNamespace

import msgspec
import pytest

from harness.checkers import CHECKERS, judge
from harness.checkers.claims import BLOCKED, FIRST_EXCLUDED_BY, ISOLATION, ISOLATION_LEVELS, Exclusion, applies
from harness.checkers.finding import KEPT, Finding, Verdict, Violation, conclude, not_applicable

ANOMALY = Violation(name="G1a", explanation="seen")


def checker(finding, exclusions=ISOLATION):
    def check(history):
        if isinstance(finding, Exception):
            raise finding
        return finding

    return SimpleNamespace(check=check, EXCLUDED_BY=exclusions)


HELD = checker(conclude((), (), {}))
SEEN = checker(conclude([ANOMALY], (), {}))
UNSURE = checker(conclude((), ["no probe was taken"], {}))
NEUTRAL = checker(not_applicable("no sets"))
BROKEN = checker(KeyError("credit"))


@pytest.mark.parametrize(
    ("checkers", "isolation", "verdict", "standings"),
    [
        ([HELD], "serializable", "holds", ["claimed-and-held"]),
        ([SEEN], "serializable", "violated", ["claimed-and-violated"]),
        ([SEEN], "read-uncommitted", "holds", ["not-claimed-and-seen"]),
        ([HELD, UNSURE], "serializable", "unknown", ["claimed-and-held", "unknown"]),
        ([SEEN, UNSURE], "serializable", "violated", ["claimed-and-violated", "unknown"]),
        ([HELD, NEUTRAL], "serializable", "holds", ["claimed-and-held", "not-applicable"]),
        ([NEUTRAL], "serializable", "unknown", ["not-applicable"]),
        ([HELD, BROKEN], "serializable", "unknown", ["claimed-and-held", "unknown"]),
        ([], "serializable", "unknown", []),
    ],
)
def test_the_verdict(checkout_run, checkers, isolation, verdict, standings):
    table = {str(number): each for number, each in enumerate(checkers)}
    judgement = judge(checkout_run().history(isolation=isolation), table)
    assert judgement.verdict == verdict
    assert [result.standing for result in judgement.results] == standings
    assert bool(judgement.reasons) == ("unknown" in (verdict, *standings))


def test_allowed_violations_are_still_reported(checkout_run):
    (result,) = judge(checkout_run().history(isolation="none"), {"isolation": SEEN}).results
    assert (result.allowed, result.violated) == ((ANOMALY,), ())
    assert result.claims == ("isolation: none",)


@pytest.mark.parametrize(("bound_s", "claim"), [(None, "blocking_s: no claim"), (5.0, "blocking_s: 5.0")])
def test_a_bound_that_is_not_claimed_is_no_number(checkout_run, bound_s, claim):
    (result,) = judge(
        checkout_run().history(blocking_s=bound_s), {"blocking": checker(conclude((), (), {}), {"b": BLOCKED})}
    ).results
    assert result.claims == (claim,)


def test_allowed_and_unsure_is_unknown(checkout_run):
    both = checker(conclude([ANOMALY], ["no probe was taken"], {}))
    assert judge(checkout_run().history(isolation="none"), {"isolation": both}).verdict == Verdict.UNKNOWN


def test_a_checker_that_raises_is_unknown_with_the_error(checkout_run):
    judgement = judge(checkout_run().history(), {"broken": BROKEN})
    assert judgement.reasons == ("broken: raised KeyError: 'credit'",)


def test_a_name_without_a_promise_counts_as_promised(checkout_run):
    assert judge(checkout_run().history(isolation="none"), {"new": checker(SEEN.check(None), {})}).verdict == "violated"


@pytest.mark.parametrize(("credit", "verdict"), [(90, Verdict.UNKNOWN), (1, Verdict.VIOLATED)])
def test_an_interrupted_run_never_holds_but_can_be_violated(checkout_run, credit, verdict):
    assert judge(checkout_run(credit=credit).history(complete=False)).verdict == verdict


def test_a_whole_run(checkout_run):
    judgement = judge(checkout_run().history())
    assert judgement.verdict == Verdict.HOLDS
    standing = {result.checker: result.standing for result in judgement.results}
    assert standing.pop("isolation") in ("claimed-and-held", "not-applicable")
    assert standing.pop("dead-letters") == "not-applicable"
    assert standing == dict.fromkeys(set(CHECKERS) - {"isolation", "dead-letters"}, "claimed-and-held")
    assert msgspec.json.decode(msgspec.json.encode(judgement))["verdict"] == "holds"


@pytest.mark.parametrize(
    ("durability", "fault", "verdict"),
    [
        ("everysec", "lost-tail", "holds"),
        ("always", "lost-tail", "violated"),
        ("everysec", "crash", "violated"),
        ("everysec", None, "violated"),
        ("best-effort", "crash", "holds"),
        ("best-effort", None, "holds"),
    ],
)
def test_only_a_cut_log_that_is_not_forced_may_forget_or_a_best_effort(checkout_run, durability, fault, verdict):
    run = checkout_run(credit=100, stock=20, paid=False)
    if fault:
        run.event("fault-start", fault=fault, target="payment-store")
    judgement = judge(run.history(durability=durability))
    assert judgement.verdict == verdict
    lost = next(result for result in judgement.results if result.checker == "exactly-once")
    assert [v.name for v in (*lost.violated, *lost.allowed)] == ["acknowledged-checkout-lost"]
    assert ("the API's contract: best effort" in lost.claims) == (durability == "best-effort")


@pytest.mark.parametrize(
    ("durability", "died_at", "verdict"),
    [("everysec", 1_500, "holds"), ("everysec", 2_500, "holds"), ("everysec", 9_000, "violated"),
     ("everysec", None, "violated"), ("always", 1_500, "violated")],
)  # fmt: skip
def test_a_store_that_dies_with_a_full_disk_may_forget_unless_its_log_is_forced(
    checkout_run, durability, died_at, verdict
):
    run = checkout_run(credit=100, stock=20, paid=False)
    run.event("fault-start", at=1_000, fault="disk-full", target="payment-store")
    if died_at == 1_500:
        run.event("node", at=died_at, name="payment-store", state="down")
    run.event("fault-end", at=2_000, fault="disk-full", target="payment-store")
    if died_at not in (None, 1_500):
        run.event("node", at=died_at, name="payment-store", state="down")
    assert judge(run.history(durability=durability)).verdict == verdict


def test_not_even_a_cut_log_makes_a_balance_negative(checkout_run):
    run = checkout_run(["ok"], credit=-5)
    run.event("fault-start", fault="power-cut", target="payment-store")
    assert judge(run.history(durability="everysec")).verdict == Verdict.VIOLATED


@pytest.mark.parametrize(
    ("atomicity", "verdict"), [("atomic", "violated"), ("eventually", "violated"), ("none", "holds")]
)
def test_half_a_checkout_violates_only_a_claim_of_atomicity(checkout_run, atomicity, verdict):
    assert judge(checkout_run(credit=100).history(atomicity=atomicity)).verdict == verdict


def test_a_bound_matters_only_where_it_is_claimed(checkout_run):
    run = checkout_run()
    run.event("probe", at=60_000, in_doubt=1)
    assert judge(run.history(recovery_s=10)).verdict == "violated"
    assert judge(run.history(recovery_s=None)).verdict == "holds"


def test_each_level_excludes_what_the_weaker_ones_do(run):
    names = [
        {name for name, exclusion in ISOLATION.items() if applies(exclusion, run.history(isolation=level))}
        for level in ("none", *ISOLATION_LEVELS)
    ]
    assert names[0] == set()
    assert names[-1] == set(FIRST_EXCLUDED_BY)
    assert all(weaker < stronger for weaker, stronger in pairwise(names))
    assert names[1] == {"G0", "garbage-read"}
    assert "G1c" in names[2]
    assert "G-single" in names[3] - names[2]
    assert "G2-item" in names[4] - names[3]


def test_every_violation_a_checker_can_name_is_promised_by_its_own_table():
    for name, module in CHECKERS.items():
        assert all(isinstance(exclusion, Exclusion) for exclusion in module.EXCLUDED_BY.values()), name
    for name in ("atomicity", "exactly-once"):
        assert set(CHECKERS[name].NAMES.values()) <= set(CHECKERS[name].EXCLUDED_BY)


def test_many_violations_are_counted_and_some_are_kept():
    finding = conclude([ANOMALY] * (KEPT + 5), (), {"x": 1})
    assert len(finding.violations) == KEPT
    assert finding.figures == {"x": 1, "violations": {"G1a": KEPT + 5}}
    assert isinstance(finding, Finding)
