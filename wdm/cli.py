"""``wdm``: the group of commands, and how anything that goes wrong becomes an exit code.

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

COMMANDS: Mapping[str, str] = {
    "up": "Bring a shop up on this machine: three services, their stores, a gateway.",
    "down": "Stop a shop and leave no process, container or network behind.",
    "status": "Show the nodes of a deployment and how each is.",
    "logs": "Show what a node said, the nodes of a service, or everybody: over all their lives, also after `wdm down`.",
    "txn": "Unfinished transactions: list them, look at one, end one.",
    "check": "Search every reachable state of small cases of a protocol, and assert in each what it promises.",
    "chaos": "Break a shop while clients use it, and judge what they saw against what the protocol claims.",
    "bench": "Compare protocols under the same load and the same faults: how fast, at what cost, and whether they keep "
    "what they claim.",
    "scenarios": "List the scenarios that come with wdm, one line each.",
    "replay": "Show RUN again: its folder, its name or a part of it such as the seed; the last one if none is named.",
    "report": "Show the report of RUN: its folder, its name or a part of it; the last run if none is named.",
    "runs": "List the kept runs, benches and counterexamples of `wdm check`, the oldest first.",
    "serve": "Show the kept runs in a browser: list, filter, open, compare; a run that goes on is shown as it goes.",
    "check-history": "Judge FILE, the history.ndjson of a run or a run folder, as `wdm chaos` did.",
    "demo": "A thousand checkouts at once, then a load under which every service and every store is killed.",
    "protocols": "List the protocols: what each claims, its options, its safeguards.",
    "images": "The images of the docker runtime: `wdm images build`.",
    "doctor": "Look at this machine: exit code 0 if the local runtime can run here, and what to do if not.",
}
"""The commands and the line of each in `wdm --help`.

Each name is a module of `wdm.commands` with a click command of the same name, which is imported when it is called, and not for
the help; a test compares the lines with the commands' own.
"""


class Commands(click.Group):
    """The group that imports the module of a command when the command is called, so that each starts as quickly as it can."""

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
        """Write the table of commands, as click would, without importing one of them."""
        room = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            commands = (click.Command(name, help=text) for name, text in COMMANDS.items())
            formatter.write_dl([(str(command.name), command.get_short_help_str(room)) for command in commands])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"no command {args[0]!r}; there are: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--quiet", "-q", is_flag=True, help="No progress and no hints, results and errors only.")
@click.version_option(package_name="wdm")
def wdm(quiet: bool) -> None:
    """Which distributed-transaction protocol keeps its promises when things break, and what does it cost?

    Start with `wdm up --protocol 2pc`, or `wdm demo`.
    """
    ui.Voice.quiet = quiet


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point: runs a command and returns its exit code. ``WDM_DEBUG=1`` shows tracebacks."""
    streams.outlive_readers()
    try:
        code = wdm.main(args=arguments, prog_name="wdm", standalone_mode=False)
    except BaseException as error:  # noqa: BLE001  whatever it is, it becomes one line and an exit code
        if os.environ.get("WDM_DEBUG") == "1":
            traceback.print_exc()
        code, words = _explained(error)
        if words:
            ui.complain(words)
    code = code if isinstance(code, int) else OK
    unwritten = streams.failure()
    if unwritten is not None:
        ui.complain(f"the output could not be written: {unwritten.strerror}")
        return code or ENVIRONMENT
    return code


def _explained(error: BaseException) -> tuple[int, str]:
    """Its exit code, and one line about it."""
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
