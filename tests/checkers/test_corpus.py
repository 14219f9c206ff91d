"""Over 100 edited histories: every violation is named, no benign edit is, and no ill-formed history is judged."""

import pytest

from harness.checkers import Judgement, judge
from tests.checkers.benign import BENIGN, ILL_FORMED, UNDECIDED
from tests.checkers.history_builder import PROTOCOLS, STRICT, a_run
from tests.checkers.violations import VIOLATIONS


def named(judgement: Judgement, which: str = "violated") -> set[str]:
    return {violation.name for result in judgement.results for violation in getattr(result, which)}


def summary(judgement: Judgement) -> str:
    words = [violation.explanation for result in judgement.results for violation in (*result.violated, *result.allowed)]
    return "\n".join([str(judgement.verdict), *judgement.reasons, *words])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_named(name: str, protocol: str) -> None:
    case = VIOLATIONS[name]
    judgement = judge(case.edit().history(protocol))
    if case.allowed_without_isolation and PROTOCOLS[protocol][1] != STRICT:
        assert judgement.verdict == "holds", summary(judgement)
        assert case.name in named(judgement, "allowed")
    else:
        assert judgement.verdict == "violated", summary(judgement)
        assert case.name in named(judgement), summary(judgement)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", BENIGN)
def test_what_is_benign_raises_no_alarm(name: str, protocol: str) -> None:
    judgement = judge(BENIGN[name]().history(protocol))
    assert judgement.verdict == "holds", summary(judgement)
    assert named(judgement, "allowed") <= {"request-failed"}  # no protocol claims availability


@pytest.mark.parametrize("name", ILL_FORMED)
def test_an_ill_formed_history_is_not_judged(name: str) -> None:
    judgement = judge(ILL_FORMED[name]().history())
    assert judgement.verdict == "unknown", summary(judgement)
    assert all("ill-formed" in reason for reason in judgement.reasons)
    assert not named(judgement)


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_is_not_known_is_not_called_kept(name: str) -> None:
    judgement = judge(UNDECIDED[name]().history())
    assert judgement.verdict == "unknown", summary(judgement)
    assert judgement.reasons


def test_the_corpus_is_large() -> None:
    assert len(VIOLATIONS) + len(BENIGN) + len(ILL_FORMED) + len(UNDECIDED) >= 100
    assert len({case.name for case in VIOLATIONS.values()}) >= 30


def test_a_run_that_holds_lists_claims_without_evidence() -> None:
    judgement = judge(a_run().history("2pc"))
    assert judgement.verdict == "holds"
    assert judgement.not_judged == ("isolation: strict-serializable",)
    assert judge(a_run().history("saga")).not_judged == ()
