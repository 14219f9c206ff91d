"""The elector over copies in memory: what it makes of every mixture of silent, old, new and promised copies."""

import asyncio
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from protocols.copies.elector import ELECTORS, BallotRefused, Elector, Silent, View


@dataclass
class Memory:
    """A copy in memory, and every hold on it. `calls`: what electors did to it."""

    name: str
    group: "dict[str, Memory]"
    view: View
    silent: bool = False
    holder: object = None
    calls: list[str] = field(default_factory=list)

    async def look(self) -> View:
        await self._turn()
        return self.view

    async def confirm(self, epoch: int, within_s: float) -> bool:
        del within_s
        await self._turn()
        followed = any(other.view.follows == self.name and not other.silent for other in self.group.values())
        if followed and self.view.primary and self.view.epoch == epoch:
            for other in self.group.values():
                if other.view.follows == self.name and not other.silent:
                    other.view = replace(other.view, epoch=epoch, bundles=self.view.bundles)
            return True
        return False

    async def hold(self) -> "MemoryHold":
        await self._turn()
        self.holder = hold = MemoryHold(self)
        return hold

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.silent:
            raise Silent(self.name)


@dataclass(eq=False)
class MemoryHold:
    copy: Memory

    async def look(self) -> View:
        await self._turn("")
        return self.copy.view

    async def promise(self, ballot: int) -> None:
        await self._turn(f"promise {ballot}")
        self.copy.view = replace(self.copy.view, promised=ballot)

    async def detach(self) -> None:
        await self._turn("detach")
        self.copy.view = replace(self.copy.view, primary=False, follows="")

    async def promote(self, epoch: int) -> None:
        await self._turn(f"promote {epoch}")
        self.copy.view = replace(self.copy.view, primary=True, follows="", epoch=epoch)

    async def follow(self, primary: str) -> None:
        await self._turn(f"follow {primary}")
        self.copy.view = replace(self.copy.view, primary=False, follows=primary)

    def release(self) -> None:
        pass

    async def _turn(self, call: str) -> None:
        await self.copy._turn()
        if self.copy.holder is not self:
            raise Silent(f"the hold of {self.copy.name} was taken")
        if call:
            self.copy.calls.append(call)


EMPTY = View(promised=0, epoch=0, bundles=0, primary=False)


def group(**views: View) -> dict[str, Memory]:
    copies: dict[str, Memory] = {}
    copies.update({name: Memory(name, copies, view) for name, view in views.items()})
    return copies


def elector(copies: dict[str, Memory], number: int = 1) -> Elector:
    return Elector(list(copies.values()), number, Random(number))


async def test_three_empty_copies_get_a_primary_and_two_followers() -> None:
    copies = group(a=EMPTY, b=EMPTY, c=EMPTY)
    assert await elector(copies).round()
    assert [copy.view.follows for copy in copies.values()] == ["c", "c", ""]
    assert {copy.view.epoch for copy in copies.values()} == {ELECTORS + 1}


async def test_an_established_primary_is_left_alone() -> None:
    copies = group(a=View(5, 5, 9, primary=True), b=View(5, 5, 9, False, "a"), c=View(5, 5, 9, False, "a"))
    one = elector(copies)
    assert await one.round()
    assert one.primary == "a"
    assert [copy.calls for copy in copies.values()] == [[], [], []]


@pytest.mark.parametrize(
    ("b", "c", "primary"),
    [
        (View(5, 5, 9, False, "a"), View(5, 5, 8, False, "a"), "b"),
        (View(5, 5, 8, False, "a"), View(5, 5, 9, False, "a"), "c"),
        (View(5, 4, 99, primary=True), View(5, 5, 1, False, "a"), "c"),
        (View(5, 5, 9, False, "a", offset=70), View(5, 5, 9, False), "b"),
    ],
)
async def test_the_copy_with_the_most_becomes_primary(b: View, c: View, primary: str) -> None:
    copies = group(a=View(5, 5, 9, primary=True), b=b, c=c)
    copies["a"].silent = True
    one = elector(copies)
    assert await one.round()
    assert one.primary == primary
    assert copies[primary].view.epoch > 5


async def test_every_copy_of_the_quorum_is_detached_and_has_promised_before_the_promotion() -> None:
    copies = group(a=View(5, 5, 9, primary=True), b=View(5, 5, 9, False, "a"), c=View(5, 5, 8, False, "a"))
    copies["a"].silent = True
    await elector(copies).round()
    ballot = copies["b"].view.epoch
    assert copies["b"].calls == ["detach", f"promise {ballot}", f"promote {ballot}"]
    assert copies["c"].calls == ["detach", f"promise {ballot}", "follow b"]


async def test_one_copy_alone_is_never_made_primary() -> None:
    copies = group(a=View(5, 5, 9, primary=True), b=View(5, 5, 9, False, "a"), c=View(5, 5, 9, False, "a"))
    copies["a"].silent = copies["b"].silent = True
    assert not await elector(copies).round()
    assert copies["c"].calls == []


async def test_an_empty_copy_is_no_majority_with_one_that_has_data() -> None:
    """Found by the simulator (`failover`, lua, seed 2067): the empty one had confirmed what only the missing one has too."""
    copies = group(a=EMPTY, b=View(5, 5, 8, False, "a"), c=View(5, 5, 9, False, "a"))
    copies["c"].silent = True
    one = elector(copies)
    assert not await one.round()
    assert not any("promote" in call for copy in copies.values() for call in copy.calls)
    copies["c"].silent = False
    assert await one.round()
    assert one.primary == "c"


async def test_a_primary_that_comes_back_follows_the_new_one() -> None:
    copies = group(a=View(5, 5, 12, primary=True), b=View(9, 9, 9, primary=True), c=View(9, 9, 9, False, "b"))
    one = elector(copies)
    assert await one.round()
    assert one.primary == "b"
    assert copies["a"].calls == ["follow b"]


async def test_a_primary_whom_nobody_confirms_is_not_established() -> None:
    """It may be one that was replaced: the copies are revoked and compared first, and nobody is attached to it before."""
    copies = group(a=View(5, 5, 9, primary=True), b=View(5, 5, 9, False), c=View(5, 5, 9, False))
    assert await elector(copies).round()
    assert all(copy.calls[0] == "detach" for copy in copies.values())


async def test_a_larger_promise_ends_an_election() -> None:
    copies = group(a=EMPTY, b=EMPTY, c=EMPTY)
    one = elector(copies)
    views = {name: copy.view for name, copy in copies.items()}
    copies["b"].view = replace(EMPTY, promised=99 * ELECTORS)
    with pytest.raises(BallotRefused):
        await one._elect(views)
    assert all("promote" not in call for copy in copies.values() for call in copy.calls)


@pytest.mark.parametrize("seed", range(30))
async def test_electors_at_once_leave_one_primary_with_followers(seed: int) -> None:
    copies = group(a=View(5, 5, 9, primary=True), b=View(5, 5, 9, False, "a"), c=View(5, 5, 7, False, "a"))
    copies["a"].silent = True
    rng, electors = Random(seed), [elector(copies, number) for number in (1, 2, 3)]

    async def work(one: Elector) -> None:
        for _ in range(40):
            await one.round()
            for _ in range(rng.randrange(30)):
                await asyncio.sleep(0)

    await asyncio.gather(*map(work, electors))
    assert await electors[0].round()
    epochs = {copy.view.epoch for copy in copies.values() if copy.view.primary and not copy.silent}
    assert len(epochs) == 1
    assert not any(f"promote {epoch}" in copy.calls for copy in copies.values() for epoch in (5,))
    assert copies["b"].view.bundles == copies["c"].view.bundles == 9


async def test_a_primary_that_cannot_write_is_replaced() -> None:
    """Its disk is full: it answers, confirms nothing, and can promise nothing either."""
    copies = group(a=View(5, 5, 9, primary=True), b=View(5, 5, 9, False, "a"), c=View(5, 5, 9, False, "a"))

    async def refuse(*_: object) -> bool:
        raise Silent("MISCONF")

    async def hold() -> MemoryHold:
        copies["a"].holder = held = MemoryHold(copies["a"])
        held.promise = refuse  # type: ignore[assignment, method-assign]
        return held

    copies["a"].confirm = refuse  # type: ignore[method-assign]
    copies["a"].hold = hold  # type: ignore[method-assign]
    one = elector(copies)
    assert await one.round()
    assert one.primary == "c"
