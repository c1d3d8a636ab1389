"""Command line of the book, `python -m implicit_rank COMMAND`.

book | pair | doctor | claims | run | sweep | gpu | import | fetch | restamp
"""

import argparse
import contextlib
import signal
import sys
import typing

from implicit_rank.book import commands, fetch, gpu, restamp, runs, sweeps
from implicit_rank.book.layout import BookError


class Parser(argparse.ArgumentParser):
    """As argparse's, but a refusal does not repeat thousands of characters."""

    def error(self, message: str) -> typing.NoReturn:
        super().error(message if len(message) <= 500 else f"{message[:480]} ... ({len(message):,} characters)")


def parser(arguments: list[str]) -> argparse.ArgumentParser:
    top = Parser(prog="python -m implicit_rank", description="Command line of the book.")
    sub = top.add_subparsers(metavar="COMMAND", required=True)
    commands.add_to(sub)
    runs.add_to(sub)
    sweeps.add_to(sub)
    gpu.add_to(sub)
    fetch.add_to(sub)
    restamp.add_to(sub)
    ledger = sub.add_parser("claims", help="print the verdict on every claim")
    if arguments[:1] == ["claims"]:  # the ledger needs the experiments, hence PyTorch: only when asked for
        from implicit_rank import claims

        claims.add_arguments(ledger)
        ledger.set_defaults(command=claims_command)
    return top


def claims_command(args: argparse.Namespace) -> int:
    from implicit_rank import claims
    from implicit_rank.store import StoreError, checkout

    try:
        print(claims.command(args))
    except StoreError as error:
        raise BookError(str(error)) from error
    except claims.ClaimError as error:
        if checkout() is None:  # there are no claims here: not the fault of what was asked for
            raise BookError(str(error)) from error
        raise
    return 0


def speak_any_encoding() -> None:
    """A character that the terminal's encoding lacks is printed as "?" instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # none at all, or not a text file
            stream.reconfigure(errors="replace")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what a person can mend is one sentence and exit code 1, bad usage 2, Ctrl-C 130."""
    speak_any_encoding()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave as tidily as after Ctrl-C
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parser(arguments).parse_args(arguments)
    try:
        return args.command(args)
    except KeyboardInterrupt:
        print("\nInterrupted: what was finished is kept, what was under way was dropped.", file=sys.stderr)
        return 130
    except BookError as error:
        print(error, file=sys.stderr)
        return 1
    except ValueError as error:  # refused parameters
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader, such as `head`, has seen enough
            return 1
        where = f" {error.filename}" if error.filename else ""
        ours = error.strerror is None  # raised with a sentence of its own
        print(error if ours else f"Cannot read or write{where}: {error.strerror}.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
