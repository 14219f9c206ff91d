"""The dead letters of a broker: the injected poison messages, and no message of the protocol.

The event `dead-letters` has the dead letters after quiescence: the names of the messages that the fault `poison`
injected, the number of others, and their first characters.
"""

from harness.checkers.claims import CONTRACT
from harness.checkers.finding import Finding, Verdict, Violation, conclude, not_applicable
from harness.history import History

EXCLUDED_BY = dict.fromkeys(("message-dead-lettered", "poison-not-dead-lettered"), CONTRACT)


def check(history: History) -> Finding:
    """Judge the last `dead-letters` event; not applicable without a broker whose dead letters can be read."""
    reads = history.of_kind("dead-letters")
    if not reads:
        return not_applicable("there is no broker, or its dead letters cannot be read from here")
    seen = reads[-1].data
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
                explanation=f"{seen['others']} messages of the protocol are among the dead letters "
                f"and will never be handled: {', '.join(seen['seen'])}",
            )
        )
    lost = [name for name in planted if not any(planted_name.endswith(name) for planted_name in seen["planted"])]
    if lost:
        violations.append(
            Violation(
                name="poison-not-dead-lettered",
                explanation=f"{len(lost)} of {len(planted)} injected poison messages are not among the dead letters: "
                "they are lost, or still block a queue.",
                keys=tuple(lost),
            )
        )
    return conclude(violations, (), {"planted": len(planted), "others": seen["others"]})
