"""Command line of the book: `python -m implicit_rank book | pair | doctor | claims | run | sweep | fetch`."""

import argparse
import signal
import sys

from implicit_rank.book import commands, fetch, runs, sweeps
from implicit_rank.book.layout import BookError


def parser(arguments: list[str]) -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m implicit_rank", description=__doc__.split(":")[0] + ".")
    sub = top.add_subparsers(metavar="COMMAND", required=True)
    commands.add_to(sub)
    runs.add_to(sub)
    sweeps.add_to(sub)
    fetch.add_to(sub)
    ledger = sub.add_parser("claims", help="print the verdict on every claim")
    if arguments[:1] == ["claims"]:  # the ledger needs the experiments, hence PyTorch: only when asked for
        from implicit_rank import claims

        claims.add_arguments(ledger)
        ledger.set_defaults(command=claims_command)
    return top


def claims_command(args: argparse.Namespace) -> int:
    from implicit_rank import claims
    from implicit_rank.store import StoreError

    try:
        print(claims.command(args))
    except StoreError as error:
        raise BookError(str(error)) from error
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what a person can mend is one sentence and exit code 1, bad usage 2, Ctrl-C 130."""
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
