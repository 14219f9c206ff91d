"""The elector of one store: it makes one copy the primary, and the others its followers. Any number of electors may run.

Everything is decided from what the copies answer. An elector has no memory of its own; one that dies is replaced by a new one.

        a primary of the newest epoch answers, and a follower confirms it?
            yes -> attach to it each other copy that follows somebody else
            no  -> elect:  revoke at every copy that answers, at two at least     (nothing more is confirmed elsewhere)
                           compare (epoch, bundles), the largest wins             (all that was confirmed is in it)
                           promote it, its epoch is the ballot; the others follow
                           confirm that a follower has the new epoch              (only now is it established)

An elector acts on a copy through a hold, which the next elector takes from it. It gives up the whole election if it loses one
hold, or if a copy has promised a larger ballot.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar

from protocols.copies import MAJORITY

PAUSE_S, AGAIN_S = 0.1, 0.1
CONFIRM_WITHIN_S, ESTABLISH_WITHIN_S = 0.5, 3.0
ELECTORS = 1_024
"""Ballots of one elector differ by multiples of this, so that no two electors have one in common."""

T = TypeVar("T")


class Silent(Exception):
    """A copy that gave no answer in time, or a hold that was taken."""


class BallotRefused(Exception):
    """A copy that has promised a larger ballot, or has data of a larger epoch."""


@dataclass(frozen=True, slots=True)
class View:
    """What a copy says about itself.

    `promised` is the largest ballot for which it was revoked. `epoch` and `bundles` are its progress, see
    `protocols.store.epochs`; `offset` is its place in the stream of a primary, 0 after a restart. `follows` is the name of the
    copy that it follows, "" for nobody.
    """

    promised: int
    epoch: int
    bundles: int
    primary: bool
    follows: str = ""
    offset: int = 0

    @property
    def newest(self) -> int:
        """Return the largest ballot that this copy has seen."""
        return max(self.promised, self.epoch)


class Hold(Protocol):
    """The right of one elector to change a copy, until another elector takes it. Every method raises `Silent` after that."""

    async def look(self) -> View: ...

    async def promise(self, ballot: int) -> None:
        """Write down the largest ballot for which the copy was revoked; a restart does not lose it.

        Together with that it writes down whom it follows, so it must be detached before: it would start as a follower.
        """

    async def detach(self) -> None:
        """Make the copy a follower of nobody."""

    async def promote(self, epoch: int) -> None:
        """Make the copy a primary, and begin the epoch."""

    async def follow(self, primary: str) -> None:
        """Make the copy a follower of another one."""

    def release(self) -> None:
        """End the hold."""


class Copy(Protocol):
    """One copy of a store, by its name."""

    @property
    def name(self) -> str: ...

    async def look(self) -> View:
        """Raises `Silent`."""

    async def confirm(self, epoch: int, within_s: float) -> bool:
        """Return whether this is the primary of `epoch`, and a follower has all that it has. Raises `Silent`."""

    async def hold(self) -> Hold:
        """Take the copy from every other elector. Raises `Silent`."""


class Elector:
    """The elector of the copies of one store. `number`, below `ELECTORS`, is another one for each elector that may run.

    `enabled(safeguard)` is False for a rule that is switched off. `primary` is the name of the established primary, "" for none.
    """

    def __init__(
        self,
        copies: Sequence[Copy],
        number: int,
        rng: Random,
        enabled: Callable[[str], bool] = lambda _: True,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._copies = {copy.name: copy for copy in copies}
        self._number = number
        self._rng = rng
        self._enabled = enabled
        self._say = say
        self._majority = MAJORITY if enabled("majority") else 1
        self.primary = ""
        self.views: Mapping[str, View] = {}

    async def run(self) -> None:
        """Look after the copies for ever."""
        while True:
            established = await self.round()
            # At random: two electors must not meet again.
            await asyncio.sleep(PAUSE_S if established else AGAIN_S * self._rng.random())

    async def round(self) -> bool:
        """Look at the copies once, and do what is needed. Return whether there is an established primary now."""
        self.views = views = await _answers({name: copy.look() for name, copy in self._copies.items()})
        try:
            established = await self._established(views)
            if established:
                await self._attach(views, established)
            self.primary = established or await self._elect(views)
        except (Silent, BallotRefused) as error:
            self.primary = ""
            self._say(f"no primary: {error}")
        return bool(self.primary)

    async def _established(self, views: Mapping[str, View]) -> str:
        """Return the primary whose epoch no other epoch or ballot exceeds, if a follower confirms it; else ""."""
        newest = max((view.newest for view in views.values()), default=0)
        for name, view in views.items():
            if view.primary and view.epoch == newest:
                with suppress(Silent):  # it answers, and cannot write: its disk is full
                    if await self._copies[name].confirm(newest, CONFIRM_WITHIN_S):
                        return name
        return ""

    async def _attach(self, views: Mapping[str, View], primary: str) -> None:
        """Have every other copy follow the primary. It is established, so what another copy has beyond it was never confirmed."""
        for name, view in views.items():
            if primary not in (name, view.follows):
                hold = await self._copies[name].hold()
                try:
                    await self._follow(hold, primary, views[primary].epoch)
                finally:
                    hold.release()

    async def _elect(self, views: Mapping[str, View]) -> str:
        """Make the copy with the most the primary, and return its name. Raises `Silent` or `BallotRefused` if that fails."""
        self._require(views, "answering")
        ballot = self._next_ballot(views)
        holds = await _answers({name: self._copies[name].hold() for name in views})
        try:
            revoked = await _answers({name: self._revoke(hold, ballot) for name, hold in holds.items()})
            self._require(revoked, "revoked")
            self._refuse_empty(revoked)
            winner = self._choose(revoked)
            await holds[winner].promote(ballot)
            for name in revoked:
                if name != winner:
                    await self._follow(holds[name], winner, ballot)
            if not await self._copies[winner].confirm(ballot, ESTABLISH_WITHIN_S):
                raise Silent(f"nobody confirms {winner}")
        finally:
            for hold in holds.values():
                hold.release()
        self._say(f"epoch {ballot}: {winner} is the primary, of the copies {', '.join(sorted(revoked))}")
        return winner

    def _require(self, copies: Mapping[str, View], what: str) -> None:
        if len(copies) < self._majority:
            raise Silent(f"only {', '.join(copies) or 'nobody'} {what}")

    def _refuse_empty(self, revoked: Mapping[str, View]) -> None:
        """Raise `Silent` if only one of the revoked copies has data, and a copy is missing.

        A copy without data may have lost what it has confirmed, and the missing one may have it.
        """
        full = [name for name, view in revoked.items() if view.epoch]
        if len(full) == 1 < len(revoked) < len(self._copies):
            raise Silent(f"only {full[0]} has data")

    async def _revoke(self, hold: Hold, ballot: int) -> View:
        # The hold is exclusive, so no other elector acts between the look and the promise.
        await self._refuse_smaller(hold, ballot)
        if self._enabled("revoke"):
            # First: with the promise a server writes down its role at the next start, which must be to follow nobody.
            await hold.detach()
        await hold.promise(ballot)
        return await hold.look()

    async def _follow(self, hold: Hold, primary: str, epoch: int) -> None:
        await self._refuse_smaller(hold, epoch + 1)
        await hold.follow(primary)

    async def _refuse_smaller(self, hold: Hold, ballot: int) -> None:
        newest = (await hold.look()).newest
        if newest >= ballot and self._enabled("promise"):
            raise BallotRefused(f"a copy has seen ballot {newest}")

    def _next_ballot(self, views: Mapping[str, View]) -> int:
        largest = max(view.newest for view in views.values())
        return (largest // ELECTORS + 1) * ELECTORS + self._number

    def _choose(self, revoked: Mapping[str, View]) -> str:
        """Return the copy that has the most; of equal ones that with the longest stream, which the others need not copy whole."""
        if not self._enabled("compare"):
            return min(revoked)
        return max(revoked, key=lambda name: (revoked[name].epoch, revoked[name].bundles, revoked[name].offset, name))


async def _answers(calls: Mapping[str, Awaitable[T]]) -> dict[str, T]:
    """Return the results of those calls that were answered. Raises `BallotRefused` of any."""
    results = await asyncio.gather(*calls.values(), return_exceptions=True)
    answered: dict[str, T] = {}
    for name, result in zip(calls, results, strict=True):
        if isinstance(result, BaseException):
            if not isinstance(result, Silent):
                raise result
        else:
            answered[name] = result
    return answered
