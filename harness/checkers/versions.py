"""Which states each key went through, and the anomalies which need no graph to be seen.

Nothing is ever removed from these sets, so all states of a key which committed transactions read must be
a chain under inclusion, and the chain is the version order (Elle, VLDB 2020, section 4). Definitions of
G1a and G1b: Adya, Weak Consistency, PhD thesis MIT 1999, section 3.2; fractured reads: Bailis et al., RAMP,
SIGMOD 2014.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from harness.checkers.transactions import Anomaly, Txn


@dataclass(slots=True)
class Key:
    """One key: who added which element, and who read which state.

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
        """The transactions that added these elements, each once."""
        if elements in self.writers:  # one element: by far the most frequent case
            return [self.writers[elements]]
        return list(dict.fromkeys(self.writers[element] for element in bits(elements)))


class Versions:
    """All keys of a history, the transactions that took effect, and the anomalies seen on the way.

    `took_effect[i]` is true for a committed transaction, and for an unknown one which somebody saw.
    """

    def __init__(self, txns: Sequence[Txn]) -> None:
        self.txns = txns
        self.keys: dict[str, Key] = {}
        self.took_effect = [txn.status == "committed" for txn in txns]
        for index, txn in enumerate(txns):
            self._enter(index, txn)
        self._promote()
        for key in self.keys.values():
            key.committed = sum(e for e, writer in key.writers.items() if self.took_effect[writer])
        self.anomalies = [anomaly for key in self.keys.values() for find in _BY_KEY for anomaly in find(self, key)]
        self.anomalies += fractured_reads(self)

    def _enter(self, index: int, txn: Txn) -> None:
        own: dict[str, int] = {}
        for name, element in txn.adds:
            key = self._key(name)
            if element in key.writers or element.bit_count() != 1:
                raise ValueError(f"element {element} of {name} is not one transaction's own power of two")
            key.writers[element] = index
            own[name] = own.get(name, 0) | element
        if txn.status != "committed":
            return
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
        """An unknown transaction took effect if a read saw any element of it."""
        for index, txn in enumerate(self.txns):
            if txn.status == "unknown":
                seen = (s & element for name, element in txn.adds for s in self.keys[name].readers)
                self.took_effect[index] = any(seen)


def bits(mask: int) -> Iterator[int]:
    """The powers of two in `mask`, from the smallest."""
    while mask > 0:
        low = mask & -mask
        yield low
        mask ^= low


def dirty_reads(_: Versions, key: Key) -> Iterator[Anomaly]:
    """(reader, writer) for a read of an aborted write; (reader,) for one of what nobody wrote.

    The rest of such a read is judged on, as if the impossible part had not been in it.
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
    """(reader, writer) where the writer added several elements and the read has only some of them.

    Judged on as a read from before that writer: its final version is what counts in the version order.
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
    """(reader, reader) of two states of which neither includes the other; else sets the version order."""
    states = sorted(key.readers, key=int.bit_count)
    for smaller, larger in pairwise(states):
        if smaller & ~larger:
            yield Anomaly("incompatible-reads", (key.readers[smaller][0], key.readers[larger][0]), (key.name,))
            return
    key.states = states


def lost_updates(versions: Versions, key: Key) -> Iterator[Anomaly]:
    """(writer, writer) which both read the key and both added to it, neither having seen the other."""
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
    """(writer, reader): the writer was told that it committed, but no read that began later has its element.

    Only real time tells this from a write which is yet to come, hence the suffix of its name.
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
    """(reader, writer), keys (seen, missed): the reader saw one of the writer's effects and not another."""
    for index, txn in enumerate(versions.txns):
        if len(txn.reads) > 1 and txn.status == "committed":
            found = _fracture(versions, index, txn)
            if found:
                yield found


def _fracture(versions: Versions, index: int, txn: Txn) -> Anomaly | None:
    for name, state in txn.reads:
        key = versions.keys[name]
        for writer in key.writers_of(state & key.committed):
            for other, element in versions.txns[writer].adds:
                missed = any(k == other and not s & element for k, s in txn.reads)
                if missed and other != name and writer != index:
                    return Anomaly("fractured-read", (index, writer), (name, other))
    return None


def _seen_after(versions: Versions, key: Key, element: int, when_ns: int) -> bool:
    readers = (txn for state, txns in key.readers.items() if state & element for txn in txns)
    return any(versions.txns[txn].invoked_ns > when_ns for txn in readers)


def _amend(key: Key, old: int, new: int) -> None:
    if old != new:
        key.readers.setdefault(new, []).extend(key.readers.pop(old))


_BY_KEY = (dirty_reads, intermediate_reads, incompatible_reads, lost_updates, vanished_updates)
