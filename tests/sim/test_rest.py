"""The final reads begin after the end of the last checkout."""

from tests.sim.conftest import examined


def test_a_checkout_of_the_last_moment_is_finished_before_the_final_reads() -> None:
    """The first probe read an idle shop; a later checkout was acknowledged and not yet applied."""
    done = examined("flaky-network", "2pc", 2, options={"reads": "committed"})
    assert (done.judgement.verdict, sorted(done.names)) == ("holds", [])
