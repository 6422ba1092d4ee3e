# SPDX-License-Identifier: Apache-2.0
"""The `backout` command. Only click is imported here: each command's module loads when it is called."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module

import click

from backout import __version__
from backout.cli.options import GlobalOptions, Group

STOPPED = 130
GARBAGE = 300_000
"""New objects after which Python looks for cycles. A run makes 200,000, nearly all of which stay, so that looking is in vain
and takes a tenth of its time; with Python's own 700, a tenth of that of a start."""

COMMANDS = {
    "status": "What is deployed, which revision, healthy or not, what one could go back to.",
    "history": "The revisions of one target, and which are proven good.",
    "changes": "What changed, when, by whom.",
    "diagnose": "What broke, since when, by which change, with the evidence.",
    "plan": "The way back: cause, target, steps, diff, risks, checks. Writes nothing to a cluster.",
    "run": "Capture, roll back, verify, report.",
    "verify": "Measure whether all is well.",
    "runs": "The runs so far.",
    "show": "One run, event by event.",
    "resume": "Finish a run that was killed or interrupted.",
    "abort": "Stop a run at its next step.",
    "approve": "Say yes to a run that policy wants other people to approve.",
    "worker": "Carry out what others submitted with `run --detach`.",
    "undo": "Take a finished run back: forward again.",
    "report": "The write-up of one run, in Markdown.",
    "audit": "Prove that the record of what was done is whole; signed checkpoints, copies.",
    "snapshot": "What namespaces were: encrypted snapshots, and what is done with them.",
    "doctor": "Tools, versions, and access rights for every verb of a plan.",
    "twin": "Embedded clusters on this machine.",
    "demo": "The main job on embedded clusters, start to report.",
    "schema": "The JSON Schemas of what -o json gives.",
    "version": "The version, and what Backout works with here.",
}


class LazyGroup(Group):
    """Knows its commands by name; their modules are imported on call."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = import_module(f"backout.cli.commands.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, "--version", message="backout %(version)s")
def cli() -> None:
    """Takes a Kubernetes deployment from "it went wrong" to "verified healthy, and written up".

    Targets are written kind/name: helm/thanos, deployment/thanos-query, statefulset/thanos-receive.
    """


def main() -> None:
    """Runs the command line and ends the process."""
    own_process()
    leave(run())


def own_process() -> None:
    """For a process that does nothing else: HTTP/2 is not spoken here, and its library takes 10 ms to import. The HTTP
    library does without where it can't be imported."""
    sys.modules.setdefault("h2", None)  # type: ignore[arg-type]  # that is how the import system spells it


def leave(code: int) -> None:
    """Ends the process at once, when everything that was printed has gone out.

    Python would first take apart every module and object, which takes longer than many a command; nothing of ours
    waits for that: files, connections and programs are closed where they are used. Profilers call `run` instead.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            # The reader of our output (head, less) has gone; there is nobody left to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (OSError, ValueError, AttributeError):
            # A full disk, or a stream that was closed: Python has its own words and exit code for that.
            sys.exit(code)
    os._exit(code)


def run() -> int:
    """Runs the command line, turns every foreseen error into its message, and returns the exit code."""
    # Nearly all objects live as long as the process: looking for cycles among them is in vain.
    gc.set_threshold(GARBAGE)
    options = GlobalOptions()
    try:
        # As people call it, also where Python was told the module's name: hints can be pasted.
        name = "kubectl backout" if "kubectl-backout" in os.path.basename(sys.argv[0]) else "backout"  # noqa: PTH119
        code = cli.main(prog_name=name, standalone_mode=False, obj=options)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        code = STOPPED
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = 2
    except Exception as error:
        code = _report(error, options)
    return code if isinstance(code, int) else 0


def _report(error: Exception, options: GlobalOptions) -> int:
    from backout.cli.failures import misused, show_failure, unforeseen
    from backout.errors import BackoutError

    if isinstance(error, click.ClickException):
        foreseen = misused(error)
    else:
        foreseen = error if isinstance(error, BackoutError) else unforeseen(error, verbose=options.verbose)
    show_failure(foreseen, options)
    return foreseen.exit_code


if __name__ == "__main__":
    main()
