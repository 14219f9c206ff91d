"""`wdm`: the commands in their groups, and the translation of every error into an exit code.

0 ok or holds, 1 violated, 2 usage, 3 unknown, 4 the environment failed, 130 interrupted.
"""

import os
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module

import click

from harness.errors import EnvironmentFailure
from protocols.errors import UsageError
from wdm import streams, ui
from wdm.exits import ENVIRONMENT, INTERRUPTED, OK, UNKNOWN, USAGE

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Run a shop": {
        "up": "Start a shop: three services, their stores, a gateway.",
        "down": "Stop a shop and keep its data and logs.",
        "restart": "Restart the services and gateways of a shop, also one by one.",
        "status": "Show the nodes of a shop and the state of each.",
        "logs": "Show the logs of the nodes, also after `wdm down`.",
        "txn": "List, show and resolve unfinished transactions.",
    },
    "Test a protocol": {
        "demo": "Kill every node of a shop under load and judge the run.",
        "check": "Search every reachable state of small cases.",
        "chaos": "Inject faults into a shop under load and judge the run.",
        "bench": "Compare protocols: speed, cost and kept claims.",
        "judge": "Examine a shop of your own, in any language.",
        "replay": "Repeat a kept run or counterexample.",
        "protocols": "List the protocols: claims, options, safeguards.",
        "scenarios": "List the scenarios for `wdm chaos` and `wdm bench`.",
    },
    "Read results": {
        "runs": "List the kept runs, oldest first.",
        "report": "Show the report of a run, or compare two runs.",
        "serve": "Show the kept runs and the current one in a browser.",
        "check-history": "Judge the history of a run again, without a shop.",
    },
    "Machine": {
        "doctor": "Check whether this machine can run a shop.",
        "images": "Build the container images of the docker runtime.",
    },
}
"""The groups of `wdm --help`, and the commands of each with their short help, which fits one line at 80 columns.

Each name is a module of `wdm.commands` with a click command of the same name. The module is imported for the call of its
command and not for the help; a test compares the short helps with the commands' own.
"""

COMMANDS: Mapping[str, str] = {name: text for group in GROUPS.values() for name, text in group.items()}
"""All commands, with the short help of each."""


class Commands(click.Group):
    """The group that imports the module of a command only for the call of that command, for a quick start."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(import_module(f"wdm.commands.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write a section a group, with the texts in one column, and import no command."""
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"no command {args[0]!r}; there are: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--quiet", "-q", is_flag=True, help="Print results and errors only: no progress, no hints.")
@click.version_option(package_name="wdm")
def wdm(quiet: bool) -> None:
    """Which distributed-transaction protocol keeps its promises when things break, and what does it cost?

    Start with `wdm demo`, or with `wdm up` for a shop of your own.
    """
    ui.Output.quiet = quiet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. `WDM_DEBUG=1` shows tracebacks."""
    streams.outlive_readers()
    try:
        code = wdm.main(args=arguments, prog_name="wdm", standalone_mode=False)
    except BaseException as error:  # noqa: BLE001  every error becomes one line and an exit code
        if os.environ.get("WDM_DEBUG") == "1":
            traceback.print_exc()
        code, words = _explained(error)
        if words:
            ui.error(words)
    code = code if isinstance(code, int) else OK
    unwritten = streams.failure()
    if unwritten is not None:
        ui.error(f"the output could not be written: {unwritten.strerror}")
        return code or ENVIRONMENT
    return code


def _explained(error: BaseException) -> tuple[int, str]:
    """Return the exit code of an error, and one line about it."""
    match error:
        case SystemExit(code=code):
            explained = code if isinstance(code, int) else UNKNOWN if code else OK, ""
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            explained = USAGE, ""
        case click.ClickException():
            where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "wdm"
            explained = USAGE, f"{error.format_message().rstrip('.')}; see `{where} --help`"
        case UsageError():
            explained = USAGE, str(error)
        case EnvironmentFailure():
            explained = ENVIRONMENT, str(error)
        case OSError():
            explained = ENVIRONMENT, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        case KeyboardInterrupt() | click.Abort():
            explained = INTERRUPTED, "interrupted"
        case _:
            words = f"unexpected {type(error).__name__}: {error}; WDM_DEBUG=1 shows where, please report it"
            explained = UNKNOWN, words
    return explained
