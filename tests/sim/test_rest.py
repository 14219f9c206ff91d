"""The end is read when the last checkout is over, and not before."""

from tests.sim.conftest import examined


def test_a_checkout_of_the_last_moment_is_looked_after_before_the_end_is_read() -> None:
    """The shop was idle when the first probe looked; a checkout that began after it was acknowledged and not yet applied."""
    done = examined("flaky-network", "2pc", 2, options={"reads": "committed"})
    assert (done.judgement.verdict, sorted(done.names)) == ("holds", [])
