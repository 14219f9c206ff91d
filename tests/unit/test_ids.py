"""Which texts are ids, and that a service's request to a peer has the id from its client and nothing else."""

import asyncio
from random import Random
from typing import Any

import pytest

from protocols.ports import LoopClock
from protocols.shop import accounts, orders
from protocols.shop.ids import BadId, check, check_escapes
from protocols.shop.request_context import Answer, RequestContext, serve


@pytest.mark.parametrize("text", ["7", "a/b", "ö", "a.b", "...", "a..b", " ", "%41", "x" * 255, "ö" * 127, "😀"])
def test_any_name_is_an_id(text: str) -> None:
    check("item", text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a/..", "../b", "a/./b", "..\\b", "\x00", "a\nb", "\x7f", "\x85", "\udcff", "x" * 256, "ö" * 128],
)
def test_a_malformed_id_is_named(text: str) -> None:
    with pytest.raises(BadId, match="item"):
        check("item", text)


@pytest.mark.parametrize("raw", ["/a%2", "/%", "/%zz", "/%ff", "/%c3", "/%ed%a0%80", "/%c0%af", "/\udcff"])
def test_escapes_that_can_be_read_in_two_ways_are_refused(raw: str) -> None:
    with pytest.raises(BadId):
        check_escapes(raw)


@pytest.mark.parametrize("raw", ["/a", "/a%2Fb", "/%C3%B6", "/%25", "/%f0%9f%98%80", "/ö"])
def test_escapes_of_utf_8_are_right(raw: str) -> None:
    check_escapes(raw)


def _serve(handler: Any, answer: Answer, **parameters: str) -> tuple[Answer, list[str]]:
    """Return the handler's answer after this answer of its peer, and the paths of the requests to the peer."""
    paths: list[str] = []

    async def query(_service: str, path: str) -> Answer:
        paths.append(path)
        return answer

    async def play() -> Answer:
        context = RequestContext(None, LoopClock(), Random(1), 1_000, query)  # type: ignore[arg-type]
        return await serve(handler, context, **parameters)

    return asyncio.run(play()), paths


@pytest.mark.parametrize("item", ["a/b", "a?b", "a#b", "a%2Fb", "a b", "ö", "..a"])
def test_an_id_goes_into_a_path_as_one_step(item: str) -> None:
    answer, paths = _serve(orders.add_item, Answer(404, {"error": "unknown id"}), order="o", item=item, quantity="1")
    assert answer.status == 404
    (path,) = paths
    assert path.count("/") == 2
    assert path.isascii()
    assert not set("?# ") & set(path)


@pytest.mark.parametrize("handler", [orders.add_item, accounts.order_status])
@pytest.mark.parametrize(
    ("given", "response"),
    [
        (Answer(404, "404: Not Found"), 404),
        (Answer(429, {"error": "full"}), 429),
        (Answer(200, "not what the contract says"), 424),
        (Answer(302, ""), 424),
    ],
)
def test_any_4xx_of_a_peer_is_the_answer_and_nonsense_is_none(handler: Any, given: Answer, response: int) -> None:
    parameters = {"order": "o", "item": "i", "quantity": "1", "user": "u"}
    names = handler.__code__.co_varnames[1 : handler.__code__.co_argcount]
    assert _serve(handler, given, **{name: parameters[name] for name in names})[0].status == response
