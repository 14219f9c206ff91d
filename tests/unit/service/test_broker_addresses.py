"""The addresses of a broker with several nodes, as a link tries them."""

from protocols.service.links.broker import Addresses

NODES = "amqp://a/ amqp://b/ amqp://c/"


def test_each_turn_begins_at_the_next_node_and_has_them_all() -> None:
    addresses = Addresses(NODES, "order-1")
    turns = [addresses.take().split() for _ in range(4)]
    assert {turn[0] for turn in turns[:3]} == set(NODES.split())
    assert all(sorted(turn) == NODES.split() for turn in turns)
    assert turns[3] == turns[0]


def test_links_of_many_instances_begin_at_different_nodes() -> None:
    names = [f"{service}-{number}" for service in ("order", "stock", "payment") for number in range(1, 9)]
    assert {Addresses(NODES, name).take().split()[0] for name in names} == set(NODES.split())


def test_one_node_is_every_turn() -> None:
    addresses = Addresses("amqp://a/", "order-1")
    assert [addresses.take() for _ in range(2)] == ["amqp://a/"] * 2
