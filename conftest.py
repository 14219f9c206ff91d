"""Options of the test suite."""

import pytest

BROKERED = {"test_pressure.py", "test_transports.py"}
BROKERS = {"streams", "rabbitmq", "kafka", "('saga', 'streams')", "('saga', 'rabbitmq')", "('saga', 'kafka')"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden transcripts anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the shop with a proxy on every link takes long to start: it belongs to the slow part. In containers all do.

    What needs a broker shares one with the rest of its file, so it is run file by file: `make test-brokers`.
    """
    for item in items:
        callspec = getattr(item, "callspec", None)
        over = callspec.params.values() if callspec else ()
        if item.path.name in BROKERED or item.path.parent.name == "links" or BROKERS & {str(each) for each in over}:
            item.add_marker(pytest.mark.broker)
        if "whole" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.slow)
