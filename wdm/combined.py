"""Combinations of options without a meaning: an error by name, since an ignored option is worse than a missing one."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from protocols import registry
from protocols.errors import UsageError
from protocols.service.links import transport


def typed(name: str) -> bool:
    """Return whether this parameter comes from the command line, and not from a variable or a file for all commands."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def refuse_idle_broker(protocol: str, over: str) -> None:
    """Raise `UsageError` for a broker between services that send each other no messages."""
    if transport(over).broker and not registry.load(protocol).messages:
        raise UsageError(
            f"{protocol} sends no messages from service to service: --transport {over} would carry nothing; use --transport http"
        )


def refuse_idle_load(given: Mapping[str, Any], swept: Sequence[str]) -> None:
    """Raise `UsageError` for options of `wdm bench` that its load does not have. `swept`: the names of --sweep."""
    closed = given["clients"] is not None or "clients" in swept
    if closed and typed("arrivals"):
        raise UsageError(
            "--arrivals belongs to an open loop, and clients that wait for their answers are a closed one: leave it out"
        )
    if typed("p99_ms") and not given["find_max"]:
        raise UsageError(
            "--p99-ms is the limit of --find-max: give both, or neither (--fail-if 'p99_ms > 50' judges a load)"
        )
    for name in swept:
        if typed(name):
            raise UsageError(f"--{name} and --sweep {name}= both set it: give one of them")
    loops = [name for name in ("rate", "clients") if name in swept or given[name] is not None]
    if len(loops) > 1:
        raise UsageError("a rate is an open loop and clients are a closed one: give or sweep one of them")
    if given["find_max"] and loops:
        raise UsageError(f"--find-max looks for the rate: neither give nor sweep --{loops[0]}")
