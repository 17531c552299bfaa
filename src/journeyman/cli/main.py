"""The command line: one file per verb, one boundary for errors.

Exit status: 0 done, 1 the verdict that was asked for is negative, 2 the caller can mend it, 3 a defect of ours.
"""

from __future__ import annotations

import sys
import traceback

import typer
from typer.exceptions import Abort, Exit, TyperException

from journeyman.cli.commands import COMMANDS, GROUPS
from journeyman.cli.terminal import print_error
from journeyman.core.errors import JourneymanError, UserError

app = typer.Typer(
    name="journeyman",
    help="Replace a prompt on a large model with a small model of your own, and prove that it is as good.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
groups = {"": app}
for name, function in COMMANDS.items():
    group, _, verb = name.rpartition(" ")
    if group not in groups:
        groups[group] = typer.Typer(help=GROUPS[group], no_args_is_help=True, rich_markup_mode=None)
        app.add_typer(groups[group], name=group)
    groups[group].command(verb)(function)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command and return the exit status."""
    is_json = "--json" in arguments
    try:
        result = app(arguments, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except Exit as stop:
        return stop.exit_code
    except TyperException as error:
        sys.stderr.write(f"JM-100 {error}\n  next: journeyman --help\n")
        return 2
    except (Abort, KeyboardInterrupt):
        sys.stderr.write("stopped; the same command continues\n")
        return 2
    except UserError as error:
        print_error(error, is_json)
        return 2
    except JourneymanError as error:
        print_error(error, is_json)
        return 3
    except Exception:  # noqa: BLE001  # the boundary: shown whole, exit 3
        sys.stderr.write(traceback.format_exc())
        sys.stderr.write("JM-999 this is a defect of journeyman; please report the lines above\n")
        return 3
