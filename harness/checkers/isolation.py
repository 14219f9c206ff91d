"""Isolation: the reads of a `sets` history, judged over its dependency graph.

Sound and complete for these reads: without an anomaly, a serial order that respects real time explains every one of
them.
"""

from collections import Counter

from harness.checkers.anomalies import find_anomalies
from harness.checkers.claims import ISOLATION
from harness.checkers.explainer import Explainer
from harness.checkers.finding import Finding, conclude, not_applicable
from harness.checkers.sets import find_sets
from harness.history import History

EXCLUDED_BY = ISOLATION


def check(history: History) -> Finding:
    """Report every anomaly, or `not-applicable` if the amounts do not determine the checkouts in a read."""
    sets = find_sets(history)
    if sets is None:
        return not_applicable("the amounts do not determine which checkouts a balance includes (use workload `sets`)")
    anomalies = find_anomalies(sets.txns)
    figures = {
        "transactions": len(sets.txns),
        "keys": sets.keys,
        "keys_skipped": len(sets.skipped),
        "anomalies": dict(Counter(anomaly.name for anomaly in anomalies)),
    }
    return conclude(map(Explainer(history, sets).explain, anomalies), (), figures)
