"""Orders to a container whose engine knows its state late."""

import asyncio

import pytest
import requests
from docker.errors import APIError

from harness.runtimes.docker.container import Container


class _LateEngine:
    """A container's handle whose engine refuses the first call for a state that was over, as late events of its own make it."""

    name, status = "c", "running"

    def __init__(self, refusal: str) -> None:
        self.refusal = refusal
        self.carried_out: list[str] = []
        self.refused = False

    def _take(self, what: str) -> None:
        if not self.refused:
            self.refused = True
            response = requests.Response()
            response.status_code = 409
            raise APIError("conflict", response=response, explanation=self.refusal)
        self.carried_out.append(what)

    def pause(self) -> None:
        self._take("pause")

    def unpause(self) -> None:
        self._take("unpause")

    def exec_run(self, command: list[str], **_: object) -> tuple[int, tuple[bytes, None]]:
        self._take(command[0])
        return 0, (b"done", None)


@pytest.mark.parametrize(
    ("what", "refusal"),
    [
        ("pause", "Container c is already paused"),
        ("unpause", "Container c is not paused"),
        ("echo", "Container c is paused, unpause the container before exec"),
    ],
)
async def test_an_order_refused_for_a_pause_that_is_over_is_given_again(what: str, refusal: str) -> None:
    """The engine reads its own events late: a container that ran again looked paused, and an exec failed (CI)."""
    engine = _LateEngine(refusal)
    container = Container(engine, probed_by_http=False, inner_port="", reads_environment_file=False)
    if what == "echo":
        assert await asyncio.to_thread(container.run, [what]) is None
    else:
        container.order(what)
    await container.settled()
    container.close()
    assert engine.carried_out == [what]
    assert container.trouble == []
