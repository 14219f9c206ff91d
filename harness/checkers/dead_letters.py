"""What a broker keeps aside because nobody could read it or carry it out: what was planted to be so, and nothing else.

The event `dead-letters` says what was there once the shop had come to rest: the names of what the fault `poison`
planted, how many others there were, and how these begin.
"""

from harness.checkers.claims import CONTRACT
from harness.checkers.finding import Finding, Verdict, Violation, conclude, nothing_to_judge
from harness.history import History

PROMISES = dict.fromkeys(("message-dead-lettered", "poison-not-dead-lettered"), CONTRACT)


def check(history: History) -> Finding:
    """Applies where there is a broker that can be asked."""
    looks = history.of_kind("dead-letters")
    if not looks:
        return nothing_to_judge("there is no broker, or its dead letters cannot be read from here")
    seen = looks[-1].data
    if "unknown" in seen:
        return Finding(verdict=Verdict.UNKNOWN, reasons=(str(seen["unknown"]),))
    planted = [
        name
        for start in history.of_kind("fault-start")
        if start.data.get("fault") == "poison"
        for name in str(start.data.get("said")).split()
    ]
    violations = []
    if seen["others"]:
        violations.append(
            Violation(
                name="message-dead-lettered",
                explanation=f"{seen['others']} messages of the protocol ended among the dead letters, "
                f"and will never be handled: {', '.join(seen['seen'])}",
            )
        )
    lost = [name for name in planted if not any(found.endswith(name) for found in seen["planted"])]
    if lost:
        violations.append(
            Violation(
                name="poison-not-dead-lettered",
                explanation=f"{len(lost)} of {len(planted)} planted messages of no use are not among the dead letters: "
                "they are gone, or still in somebody's way.",
                keys=tuple(lost),
            )
        )
    return conclude(violations, (), {"planted": len(planted), "others": seen["others"]})
