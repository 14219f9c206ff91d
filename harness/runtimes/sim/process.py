"""A simulated service process: the service itself, behind ports that are made of virtual time and chance."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from harness.runtimes.base import LinkId
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.sim.links import BrokeredLink, SimLink
from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.server import Server
from harness.runtimes.sim.store import SimStore
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

DOOMED = 0.6  # the share of kills that wait for a failpoint: where a crash hurts most
DOOM_FAILPOINTS = 40
DOOM_S = 0.4

_READS = {
    (route.service, route.path.partition("{")[0]): (route.handler, route.path.partition("{")[2].rstrip("}"))
    for route in ROUTES
    if route.method == "GET"
}


class Died(Exception):
    """This process ended while it was doing what it did: nothing after that happens."""


class SimClock:
    """The time as one life of a process believes it to be."""

    def __init__(self, machine: Machine) -> None:
        self.offset_us = 0
        self._machine = machine
        self._life = machine.life

    def now_us(self) -> int:
        return self._machine.world.now_us() + self.offset_us

    def call_later(self, after_ms: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        machine, life = self._machine, self._life
        return machine.world.loop.call_later(after_ms / 1000, lambda: machine.enter(life, call))

    async def sleep(self, ms: float) -> None:
        over: asyncio.Future[None] = self._machine.world.loop.create_future()
        handle = self.call_later(ms, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            handle.cancel()


@dataclass(frozen=True)
class Surroundings:
    """What all processes have in common. `lasting`: what each is told to do wrong when it starts."""

    world: World
    network: SimulatedNetwork
    spec: Spec
    protocol: Protocol
    config: Config
    servers: Mapping[str, Server]
    lasting: Callable[[str], Faults]
    instances: dict[str, list["Process"]] = field(default_factory=dict)
    dead_letters: dict[bytes, None] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)

    @property
    def codec(self) -> Codec:
        return Codec(self.protocol.messages)

    def add_dead_letter(self, body: bytes) -> None:
        """Keep a dead letter, in the place of the broker or of the process."""
        self.dead_letters.setdefault(body)
        while len(self.dead_letters) > MOST_DEAD_LETTERS:
            del self.dead_letters[next(iter(self.dead_letters))]

    @property
    def limit_ms(self) -> int:
        return round(self.spec.time_limit_s * 1000)


class Process(Machine):
    """One instance of a service."""

    start_s = 0.35

    def __init__(self, name: str, service: str, number: int, surroundings: Surroundings) -> None:
        super().__init__(surroundings.world, name, "service", service, number, surroundings.spec.respawn_after_s)
        self._there = surroundings
        self._server = surroundings.servers[service]
        self._numbers = itertools.count()
        self._open: dict[int, Callable[[Answer | None], None]] = {}
        self._tasks = Background()
        self._doomed = False

    # ------------------------------------------------------------ life and death

    def born(self) -> None:
        there, world, life = self._there, self.world, self.life
        rng = world.stream(f"process:{self.name}:{life}")
        clock = SimClock(self)
        wire: LinkId = (self.name, self._server.name)

        def enter(call: Callable[[], None]) -> None:
            self.enter(life, call)

        self._store = SimStore(world, there.network, wire, self._server, enter, clock, there.limit_ms, rng)
        kind = BrokeredLink if transport(there.spec.transport).broker else SimLink
        link = kind(self, life, there.network, there.instances)
        ports = ServicePorts(
            self._store,
            link,
            clock,
            rng,
            fetch=self._fetch,
            new_id=lambda: f"{rng.getrandbits(64):016x}",
        )
        self.runs = Service(self.service, self.name, there.protocol, there.config, ports, there.limit_ms, there.spec)
        if there.spec.trace:
            self.runs.driver.observer = lambda txn, what, detail: world.steps.add(self.name, f"{txn} {what} {detail}")
        self.fault_injector = FaultInjector(self.runs.driver, link, clock, self._die)
        self.fault_injector.apply(there.lasting(self.name))
        self._tasks.run(self.runs.sweep(), "sweep")  # here its failure is a defect, which no restart is to hide

    def died(self) -> None:
        self._doomed = False
        self._store.abandon()
        left, self._open = self._open, {}
        for answered in left.values():
            answered(None)

    def kill(self, *, stay_down: bool) -> None:
        """Now, or at one of the next failpoints between two effects, which is soon."""
        if self.state == "running" and not self._doomed and self.rng.random() < DOOMED:
            self._doom(stay_down)
        else:
            super().kill(stay_down=stay_down)

    def revive(self) -> None:
        if self._doomed:
            super().kill(stay_down=True)
        super().revive()

    def enter(self, life: int, call: Callable[[], None]) -> None:
        with contextlib.suppress(Died):
            super().enter(life, call)

    def _doom(self, stay_down: bool) -> None:
        self._doomed = True
        life, before, left = self.life, self.runs.driver.failpoint, self.rng.randint(1, DOOM_FAILPOINTS)

        def passing(failpoint: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                self._end(failpoint, stay_down=stay_down)
            if before is not None:
                before(failpoint)

        def at_the_latest() -> None:
            if self.life == life:
                Machine.kill(self, stay_down=stay_down)

        self.runs.driver.failpoint = passing
        self.world.later(self.rng.random() * DOOM_S, at_the_latest)

    def _die(self) -> None:
        self._end("", stay_down=False)

    def _end(self, failpoint: str, *, stay_down: bool) -> None:
        self.world.trace.add(self.name, f"dies {failpoint}")
        super().kill(stay_down=stay_down)
        raise Died(self.name)

    # ------------------------------------------------------------ requests and messages

    @property
    def accepts(self) -> bool:
        """Connections; a paused process does, its kernel answers."""
        return self.state in ("running", "paused")

    def request(
        self, handler: Handler, parameters: Mapping[str, str], answered: Callable[[Answer | None], None]
    ) -> None:
        """A request has arrived. `answered` hears the answer, or None if this life ends before."""
        number, life = next(self._numbers), self.life
        self._open[number] = answered
        self.enter(life, lambda: self._serve_request(life, number, handler, parameters))

    def hear(self, message: Any, sender: str, handled: Callable[[], None] | None = None) -> None:
        """A message has arrived, if anybody listens. `handled`: its effects have been carried out."""
        if self.accepts:
            self.world.trace.add(self.name, f"{type(message).__name__} {message.txn} from {sender}")

            def rejected(why: str) -> None:
                self._there.add_dead_letter(self._there.codec.encode(sender, [message]))
                if not sender.startswith(SENDER_PREFIX):
                    self._there.defects.append(why)

            self.enter(self.life, lambda: self.runs.driver.receive(message, sender, handled or _nobody_waits, rejected))

    def hear_bytes(self, body: bytes, handled: Callable[[], None]) -> None:
        """The same of a batch as a broker has it, which may be nonsense."""
        try:
            sender, messages = self._there.codec.decode(body)
        except BadMessage:
            self._there.add_dead_letter(body)
            handled()
            return
        one = countdown(len(messages), handled)
        for message in messages:
            self.hear(message, sender, one)

    def _serve_request(self, life: int, number: int, handler: Handler, parameters: Mapping[str, str]) -> None:
        task = self._tasks.run(serve(handler, self.runs.context, **parameters), "request")
        task.add_done_callback(lambda done: self._finished(life, number, done))

    def _finished(self, life: int, number: int, done: "asyncio.Task[Answer]") -> None:
        if not done.cancelled() and done.exception() is None:
            answer = done.result()
            self.enter(life, lambda: self._open.pop(number)(answer))

    async def _fetch(self, service: str, turn: int, path: str, within_s: float) -> Answer | None:
        """A read of another service: a request over the link, and its answer back."""
        prefix, _, name = path.rpartition("/")
        handler, parameter = _READS[service, f"{prefix}/"]
        instances = self._there.instances[service]
        target = instances[turn % len(instances)]
        wire: LinkId = (self.name, target.name)
        heard: asyncio.Future[Answer | None] = self.world.loop.create_future()
        life = self.life

        def tell(answer: Answer | None) -> None:
            self.enter(life, lambda: None if heard.done() else heard.set_result(answer))

        def none() -> None:
            tell(None)

        def arrive() -> None:
            if target.accepts:
                target.request(handler, {parameter: unquote(name)}, answered)
            else:
                none()

        def answered(answer: Answer | None) -> None:
            self._there.network.carry(wire, lambda: tell(answer), none)

        self._there.network.carry(wire, arrive, none)
        patience = self.world.loop.call_later(within_s, none)
        try:
            answer = await heard
        finally:
            patience.cancel()
        return None if answer is None or answer.status >= 500 else answer


def _nobody_waits() -> None:
    """Over this link nobody wants to know."""
