"""The version order of each key, and the anomalies that show without a graph.

No element is ever removed from these sets, so the states of a key that committed transactions read must be
a chain under inclusion, and the chain is the version order (Kingsbury and Alvaro, Elle, VLDB 2020). Definitions of G1a
and G1b: Adya, "Weak Consistency", PhD thesis, MIT 1999; of fractured reads: Bailis et al., "Scalable Atomic Visibility with RAMP
Transactions", SIGMOD 2014.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from harness.checkers.transactions import Anomaly, Txn


@dataclass(slots=True)
class Key:
    """One key: the writer of each element, and the readers of each state.

    `states` is the version order, from the smallest; empty if the reads contradict each other.
    `committed` is the sum of all elements whose transactions took effect. `last` is (began, transaction,
    state) of the read that began last.
    """

    name: str
    writers: dict[int, int] = field(default_factory=dict)
    readers: dict[int, list[int]] = field(default_factory=dict)
    committed: int = 0
    states: list[int] = field(default_factory=list)
    last: tuple[int, int, int] = (-1, -1, 0)

    def writers_of(self, elements: int) -> list[int]:
        """Return the transactions that added these elements, each once."""
        if elements in self.writers:  # a single element, by far the most frequent case, needs no loop
            return [self.writers[elements]]
        return list(dict.fromkeys(self.writers[element] for element in bits(elements)))


class Versions:
    """All keys of a history, the transactions that took effect, and the anomalies without a cycle.

    `took_effect[i]` is true for a committed transaction, and for an unknown one if a read shows it.
    """

    def __init__(self, txns: Sequence[Txn]) -> None:
        self.txns = txns
        self.keys: dict[str, Key] = {}
        self.took_effect = [txn.status == "committed" for txn in txns]
        for index, txn in enumerate(txns):
            self._enter(index, txn)
        self._promote()
        for key in self.keys.values():
            key.committed = sum(element for element, writer in key.writers.items() if self.took_effect[writer])
        self.anomalies = [anomaly for key in self.keys.values() for find in _BY_KEY for anomaly in find(self, key)]
        self.anomalies += fractured_reads(self)

    def _enter(self, index: int, txn: Txn) -> None:
        """Add a transaction to its keys. Reads of transactions that did not commit are no evidence."""
        own: dict[str, int] = {}
        for name, element in txn.adds:
            key = self._key(name)
            if element in key.writers or element.bit_count() != 1:
                raise ValueError(f"element {element} of {name} is not one transaction's own power of two")
            key.writers[element] = index
            own[name] = own.get(name, 0) | element
        if txn.status != "committed":
            return
        # The transaction's own additions are taken out of its reads: the state before it counts, and it never depends on itself.
        for name, state in txn.reads:
            if state < 0:
                raise ValueError(f"state {state} of {name} is no sum of elements")
            key, others = self._key(name), state & ~own.get(name, 0) if own else state
            key.readers.setdefault(others, []).append(index)
            if txn.invoked_ns >= key.last[0]:
                key.last = (txn.invoked_ns, index, others)

    def _key(self, name: str) -> Key:
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = Key(name)
        return key

    def _promote(self) -> None:
        """Mark an unknown transaction as effective if a read shows one of its elements: else its effects may never
        have happened.
        """
        for index, txn in enumerate(self.txns):
            if txn.status == "unknown":
                seen = (state & element for name, element in txn.adds for state in self.keys[name].readers)
                self.took_effect[index] = any(seen)


def bits(mask: int) -> Iterator[int]:
    """Yield the powers of two in `mask`, from the smallest."""
    while mask > 0:
        low = mask & -mask
        yield low
        mask ^= low


def dirty_reads(_: Versions, key: Key) -> Iterator[Anomaly]:
    """Yield (reader, writer) for a read of an aborted write, (reader,) for a read of an element without a writer.

    The impossible part is then taken out of the state. Otherwise one dirty read would break the chain of its key and
    hide every other anomaly there.
    """
    for state in [state for state in key.readers if state & ~key.committed]:
        reader = key.readers[state][0]
        impossible = state & ~key.committed
        aborted = [key.writers[element] for element in bits(impossible) if element in key.writers]
        for writer in dict.fromkeys(aborted):
            yield Anomaly("G1a", (reader, writer), (key.name,))
        if len(aborted) < impossible.bit_count():
            yield Anomaly("garbage-read", (reader,), (key.name,))
        _amend(key, state, state & key.committed)


def intermediate_reads(versions: Versions, key: Key) -> Iterator[Anomaly]:
    """Yield (reader, writer) where the writer added several elements and the read has only some of them.

    The read then counts as one before that writer, since only the final version of a writer is in the version order
    (Adya 1999).
    """
    if len(set(key.writers.values())) == len(key.writers):
        return
    several: dict[int, int] = {}
    for element, writer in key.writers.items():
        if versions.took_effect[writer]:
            several[writer] = several.get(writer, 0) | element
    for writer, elements in several.items():
        if elements.bit_count() > 1:
            for state in [state for state in key.readers if 0 < state & elements < elements]:
                yield Anomaly("G1b", (key.readers[state][0], writer), (key.name,))
                _amend(key, state, state & ~elements)


def incompatible_reads(_: Versions, key: Key) -> Iterator[Anomaly]:
    """Yield (reader, reader) of two states of which neither includes the other; else set the version order.

    Sorted by size, all states are a chain if and only if each is included in the next. Without a chain the key has no
    version order, so one anomaly ends its judgement: dependencies from a wrong order would accuse correct
    transactions.
    """
    states = sorted(key.readers, key=int.bit_count)
    for smaller, larger in pairwise(states):
        if smaller & ~larger:
            yield Anomaly("incompatible-reads", (key.readers[smaller][0], key.readers[larger][0]), (key.name,))
            return
    key.states = states


def lost_updates(versions: Versions, key: Key) -> Iterator[Anomaly]:
    """Yield (writer, writer) that both read the key and both added to it, neither of them reading the other's element.

    Along the version order, `earlier` has the elements of all such writers so far: a missing one in the next reader
    is lost.
    """
    txns = versions.txns
    earlier = 0
    readers = [(state, txn) for state in key.states for txn in key.readers[state] if txns[txn].adds]
    for state, txn in readers:
        own = sum({element for name, element in txns[txn].adds if name == key.name})
        missed = earlier & ~state
        if own and missed:
            yield Anomaly("lost-update", (key.writers[missed & -missed], txn), (key.name,))
        earlier |= own


def vanished_updates(versions: Versions, key: Key) -> Iterator[Anomaly]:
    """Yield (writer, reader) where the writer was acknowledged, but no read that began later has its element.

    Without real time such a write could still be serialized after all reads, hence the suffix of the name.
    """
    began, last, final = key.last
    for element in bits(key.committed & ~final) if key.states else ():
        writer = key.writers[element]
        ended = versions.txns[writer].completed_ns
        if ended is None or ended >= began or writer == last:
            continue
        if not _seen_after(versions, key, element, ended):
            yield Anomaly("lost-update-realtime", (writer, last), (key.name,))


def fractured_reads(versions: Versions) -> Iterator[Anomaly]:
    """Yield (reader, writer), keys (seen, missed) where a read shows one of the writer's effects and not another."""
    for index, txn in enumerate(versions.txns):
        if len(txn.reads) > 1 and txn.status == "committed":
            fracture = _fracture(versions, index, txn)
            if fracture:
                yield fracture


def _fracture(versions: Versions, index: int, txn: Txn) -> Anomaly | None:
    for name, state in txn.reads:
        key = versions.keys[name]
        for writer in key.writers_of(state & key.committed):
            for other, element in versions.txns[writer].adds:
                missed = any(read == other and not seen & element for read, seen in txn.reads)
                if missed and other != name and writer != index:
                    return Anomaly("fractured-read", (index, writer), (name, other))
    return None


def _seen_after(versions: Versions, key: Key, element: int, when_ns: int) -> bool:
    readers = (txn for state, txns in key.readers.items() if state & element for txn in txns)
    return any(versions.txns[txn].invoked_ns > when_ns for txn in readers)


def _amend(key: Key, old: int, new: int) -> None:
    """Move the readers of a state to another one."""
    if old != new:
        key.readers.setdefault(new, []).extend(key.readers.pop(old))


_BY_KEY = (dirty_reads, intermediate_reads, incompatible_reads, lost_updates, vanished_updates)
