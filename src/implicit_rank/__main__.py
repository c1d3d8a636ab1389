"""Command line of the book: `python -m implicit_rank book | pair | doctor | claims | run`."""

import argparse
import signal
import sys

from implicit_rank.book import commands, runs
from implicit_rank.book.layout import BookError


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m implicit_rank", description=__doc__.split(":")[0] + ".")
    sub = top.add_subparsers(metavar="COMMAND", required=True)
    commands.add_to(sub)
    runs.add_to(sub)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what a person can mend is one sentence and exit code 1, bad usage 2, Ctrl-C 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave as tidily as after Ctrl-C
    args = parser().parse_args(arguments)
    try:
        return args.command(args)
    except KeyboardInterrupt:
        print("\nInterrupted: finished chapters are kept, the one under way was dropped.", file=sys.stderr)
        return 130
    except BookError as error:
        print(error, file=sys.stderr)
        return 1
    except ValueError as error:  # refused parameters
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        print(f"Cannot read or write{where}: {error.strerror or error}.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
