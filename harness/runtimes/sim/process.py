"""A simulated service process: the service itself, behind ports that are made of virtual time and chance.

A kill waits for a failpoint in most cases. In virtual time an effect takes no time, so a kill at a random moment would hardly
ever come between two effects, which is where recovery is hard. Such a kill has three ways to happen:

    kill -> dying -> passes its n-th failpoint -> Died, from inside the service    the case that is wanted
                  -> longest wait is over      -> an ordinary kill                 an idle process passes no failpoint
                  -> revive or restart         -> an ordinary kill                 the next life must not die of it
"""

import asyncio
import contextlib
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from harness.runtimes.base import LinkId
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.sim.links import BrokeredLink, SimLink
from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.stores import ServerSet
from harness.runtimes.sim.world import World
from protocols.core import Config, Protocol
from protocols.service.codec import BadMessage, Codec
from protocols.service.faults import FaultInjector, Faults
from protocols.service.links import MOST_DEAD_LETTERS, transport
from protocols.service.links.poison import SENDER_PREFIX
from protocols.service.service import Service, ServicePorts, countdown
from protocols.service.tasks import Background
from protocols.shop.request_context import Answer, Handler, serve
from protocols.shop.routes import ROUTES

AT_FAILPOINT = 0.6  # the share of kills that wait for a failpoint
MOST_FAILPOINTS = 40
LONGEST_WAIT_S = 0.4
DRAIN_POLL_S = 0.01
END_WITHIN_S = 0.3  # as `protocols.service.__main__`

_READS = {
    (route.service, route.path.partition("{")[0]): (route.handler, route.path.partition("{")[2].rstrip("}"))
    for route in ROUTES
    if route.method == "GET"
}


class Died(Exception):
    """The end of a process from inside its own code: raised at a failpoint, so that no later effect happens."""


class SimClock:
    """The clock of one life of a process, off by `offset_us`."""

    def __init__(self, machine: Machine) -> None:
        self.offset_us = 0
        self._machine = machine
        self._life = machine.life

    def now_us(self) -> int:
        """Return the time in microseconds since 1970."""
        return self._machine.world.now_us() + self.offset_us

    def call_later(self, after_ms: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Have a call happen to this life later: not during a pause, and never after its end."""
        machine, life = self._machine, self._life
        return machine.world.loop.call_later(after_ms / 1000, lambda: machine.enter(life, call))

    async def sleep(self, ms: float) -> None:
        """Return after so many milliseconds; never, if this life ends before."""
        over: asyncio.Future[None] = self._machine.world.loop.create_future()
        handle = self.call_later(ms, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            handle.cancel()


@dataclass(frozen=True)
class Surroundings:
    """The parts that all processes share. `lasting(name)`: the faults that a process has from its start."""

    world: World
    network: SimulatedNetwork
    spec: Spec
    protocol: Protocol
    config: Config
    stores: Mapping[str, ServerSet]
    lasting: Callable[[str], Faults]
    instances: dict[str, list["Process"]] = field(default_factory=dict)
    dead_letters: dict[bytes, None] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)

    @property
    def codec(self) -> Codec:
        """Return the codec of the protocol's messages."""
        return Codec(self.protocol.messages)

    def add_dead_letter(self, body: bytes) -> None:
        """Add a dead letter, for the broker or the process; beyond the limit the oldest is dropped."""
        self.dead_letters.setdefault(body)
        while len(self.dead_letters) > MOST_DEAD_LETTERS:
            del self.dead_letters[next(iter(self.dead_letters))]

    @property
    def limit_ms(self) -> int:
        """Return the time limit of a request in milliseconds."""
        return round(self.spec.time_limit_s * 1000)


class Process(Machine):
    """One instance of a service, with all its lives."""

    start_s = 0.35

    def __init__(self, name: str, service: str, number: int, surroundings: Surroundings) -> None:
        super().__init__(surroundings.world, name, "service", service, number, surroundings.spec.respawn_after_s)
        self._surroundings = surroundings
        self._servers = surroundings.stores[service]
        self._numbers = itertools.count()
        self._open: dict[int, Callable[[Answer | None], None]] = {}
        self._tasks = Background()
        self._dying = False
        self._draining = False

    # ------------------------------------------------------------ life and death

    def born(self) -> None:
        surroundings, world, life = self._surroundings, self.world, self.life
        rng = world.stream(f"process:{self.name}:{life}")
        clock = SimClock(self)

        def enter(call: Callable[[], None]) -> None:
            self.enter(life, call)

        self._store = self._servers.connect(surroundings.network, self.name, enter, clock, surroundings.limit_ms, rng)
        kind = BrokeredLink if transport(surroundings.spec.transport).broker else SimLink
        link = kind(self, life, surroundings.network, surroundings.instances)
        ports = ServicePorts(
            self._store,
            link,
            clock,
            rng,
            fetch=self._fetch,
            new_id=lambda: f"{rng.getrandbits(64):016x}",
            process=f"{self.name}:{life}",
        )
        self.runs = Service(
            self.service,
            self.name,
            surroundings.protocol,
            surroundings.config,
            ports,
            surroundings.limit_ms,
            surroundings.spec,
        )
        if surroundings.spec.trace:
            self.runs.driver.observer = lambda txn, what, detail: world.steps.add(self.name, f"{txn} {what} {detail}")
        self.fault_injector = FaultInjector(self.runs.driver, link, clock, self._die)
        self.fault_injector.apply(surroundings.lasting(self.name))
        self._tasks.run(self.runs.sweep(), "sweep")  # without a restart of its own, which would hide a defect

    def died(self) -> None:
        self._dying = self._draining = False
        self._store.abandon()
        left, self._open = self._open, {}
        for answered in left.values():
            answered(None)

    def kill(self, *, stay_down: bool) -> None:
        """Kill the process: now, or at one of its next failpoints, at most `LONGEST_WAIT_S` later."""
        # A paused or starting process passes no failpoint. One that is dying already ends now: a second hook would only delay
        # the death that the first one was to bring.
        if self.state == "running" and not self._dying and self.rng.random() < AT_FAILPOINT:
            self._kill_at_failpoint(stay_down)
        else:
            super().kill(stay_down=stay_down)

    def revive(self) -> None:
        """Begin the next life at once if the node is down, or dying."""
        # The kill has been ordered already: without this branch it would come after the revival, and end the new life.
        if self._dying:
            super().kill(stay_down=True)
        super().revive()

    def terminate(self) -> None:
        """Refuse new requests, and end once those under way are answered, at their time limit at the latest.

        Messages still arrive: other processes answer those of this one over its own connections.
        """
        if self.state == "starting":
            super().kill(stay_down=False)
        else:
            self.enter(self.life, self._drain)

    def _drain(self) -> None:
        now, life = self.world.loop.time, self.life
        limit_s = now() + self._surroundings.limit_ms / 1000
        answered_s = math.inf
        self._draining = True

        def look() -> None:
            nonlocal answered_s
            if (not self._open or now() >= limit_s) and answered_s == math.inf:
                answered_s = now()
            # An answered request may leave a transaction behind, whose last messages are on their way.
            if now() >= answered_s + END_WITHIN_S or (answered_s < math.inf and not self.runs.driver.live):
                Machine.kill(self, stay_down=False)  # not `self.kill`, which could wait for a failpoint
            else:
                self.world.later(DRAIN_POLL_S, lambda: self.enter(life, look))

        look()

    def enter(self, life: int, call: Callable[[], None]) -> None:
        """Have an event happen to this life, as `Machine.enter` does. The life may end in it."""
        # `Died` unwinds the service's code from the failpoint up to here, as a real process stops at the instruction. Further up
        # is the network or a timer, whose own work must go on.
        with contextlib.suppress(Died):
            super().enter(life, call)

    def _kill_at_failpoint(self, stay_down: bool) -> None:
        """Have the process die at one of its next `MOST_FAILPOINTS` failpoints, or after `LONGEST_WAIT_S`."""
        self._dying = True
        life, before, left = self.life, self.runs.driver.failpoint, self.rng.randint(1, MOST_FAILPOINTS)

        def passing(failpoint: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                self._end(failpoint, stay_down=stay_down)
            # The failpoint of an injected fault (`crash_at`) stays armed: this hook stands before it, not in its place.
            if before is not None:
                before(failpoint)

        def at_the_latest() -> None:
            # The life may have ended at a failpoint or by another kill: the timer is not for the next one.
            if self.life == life:
                Machine.kill(self, stay_down=stay_down)  # not `self.kill`, which could wait for a failpoint again

        self.runs.driver.failpoint = passing
        # An idle process passes no failpoint. Without this timer the kill would wait for the next request, and a schedule that
        # counts on a dead node would run on with a living one.
        self.world.later(self.rng.random() * LONGEST_WAIT_S, at_the_latest)

    def _die(self) -> None:
        self._end("", stay_down=False)

    def _end(self, failpoint: str, *, stay_down: bool) -> None:
        self.world.trace.add(self.name, f"dies {failpoint}")
        # Killed first: code of the service that runs while `Died` unwinds it finds a life that is over, and has no effect.
        super().kill(stay_down=stay_down)
        raise Died(self.name)

    # ------------------------------------------------------------ requests and messages

    @property
    def accepts(self) -> bool:
        """Return whether it accepts connections. A paused process does: its kernel answers."""
        return self.state in ("running", "paused") and not self._draining

    def request(
        self, handler: Handler, parameters: Mapping[str, str], answered: Callable[[Answer | None], None], key: str = ""
    ) -> None:
        """Take a request with this idempotency key. `answered` receives the response, or None if this life ends before."""
        number, life = next(self._numbers), self.life
        self._open[number] = answered
        self.enter(life, lambda: self._serve_request(life, number, handler, parameters, key))

    def receive(self, message: Any, sender: str, handled: Callable[[], None] | None = None) -> None:
        """Take a message, if this process has not ended. `handled` is called after the message's effects."""
        if self.state in ("running", "paused"):
            self.world.trace.add(self.name, f"{type(message).__name__} {message.txn} from {sender}")

            def rejected(why: str) -> None:
                self._surroundings.add_dead_letter(self._surroundings.codec.encode(sender, [message]))
                if not sender.startswith(SENDER_PREFIX):
                    self._surroundings.defects.append(why)

            self.enter(self.life, lambda: self.runs.driver.receive(message, sender, handled or _ignore, rejected))

    def receive_batch(self, body: bytes, handled: Callable[[], None]) -> None:
        """Take a batch of messages as a broker stores it. One that cannot be read becomes a dead letter, and is handled."""
        try:
            sender, messages = self._surroundings.codec.decode(body)
        except BadMessage:
            self._surroundings.add_dead_letter(body)
            handled()
            return
        counted = countdown(len(messages), handled)
        for message in messages:
            self.receive(message, sender, counted)

    def _serve_request(self, life: int, number: int, handler: Handler, parameters: Mapping[str, str], key: str) -> None:
        task = self._tasks.run(serve(handler, self.runs.context, key, **parameters), "request")
        task.add_done_callback(lambda done: self._finished(life, number, done))

    def _finished(self, life: int, number: int, done: "asyncio.Task[Answer]") -> None:
        if not done.cancelled() and done.exception() is None:
            answer = done.result()
            self.enter(life, lambda: self._open.pop(number)(answer))

    async def _fetch(self, service: str, turn: int, path: str, within_s: float) -> Answer | None:
        """Read from another service, by a request over the link and its response; return None without a usable one.

        `turn` chooses the instance; `within_s` bounds the wait.
        """
        prefix, _, name = path.rpartition("/")
        handler, parameter = _READS[service, f"{prefix}/"]
        instances = self._surroundings.instances[service]
        target = instances[turn % len(instances)]
        link_id: LinkId = (self.name, target.name)
        response: asyncio.Future[Answer | None] = self.world.loop.create_future()
        life = self.life

        def resolve(answer: Answer | None) -> None:
            self.enter(life, lambda: None if response.done() else response.set_result(answer))

        def none() -> None:
            resolve(None)

        def arrive() -> None:
            if target.accepts:
                target.request(handler, {parameter: unquote(name)}, answered)
            else:
                none()

        def answered(answer: Answer | None) -> None:
            self._surroundings.network.carry(link_id, lambda: resolve(answer), none)

        self._surroundings.network.carry(link_id, arrive, none)
        patience = self.world.loop.call_later(within_s, none)
        try:
            answer = await response
        finally:
            patience.cancel()
        return None if answer is None or answer.status >= 500 else answer


def _ignore() -> None:
    """Do nothing: a link without a broker has no acknowledgements."""
