"""The sub-commands `book`, `pair` and `doctor`: they print, and return exit codes."""

import argparse
import time
from pathlib import Path

from implicit_rank.book.layout import PROFILES, BookError, chapters, find_layout, select
from implicit_rank.tree import PREFIX, absolute_folder, existing_folder


def add_to(commands) -> None:
    """Register the sub-commands on an argparse sub-parser collection."""
    book = commands.add_parser("book", help="pair, execute, build and check the book")
    book.add_argument("--profile", default="quick", choices=PROFILES, help="how large the runs are (default: quick)")
    book.add_argument("--only", nargs="+", metavar="CHAPTER", help='chapters to execute, such as "02"; makes a preview')
    book.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter")
    book.add_argument("--force", action="store_true", help="execute even what is up to date")
    which = book.add_mutually_exclusive_group()
    which.add_argument("--execute-only", action="store_true", help="do not build the site")
    which.add_argument("--html-only", action="store_true", help="build from the outputs there are")
    book.set_defaults(command=book_command)
    pairs = commands.add_parser("pair", help="write every chapter's .ipynb from its .md")
    pairs.add_argument("--check", action="store_true", help="only say which are out of step (exit code 1 if any)")
    pairs.set_defaults(command=pair_command)
    notebooks = commands.add_parser("notebooks", help="write the executed notebooks, ready for Colab, into a folder")
    notebooks.add_argument("folder")
    notebooks.add_argument("--profile", default="quick", choices=PROFILES)
    notebooks.set_defaults(command=notebooks_command)
    doctor = commands.add_parser("doctor", help="say in plain words what this machine can do")
    doctor.set_defaults(command=doctor_command)


def say(line: str) -> None:
    print(line, flush=True)


def parse_parameters(texts: list[str], option: str = "-p") -> dict:
    """NAME=VALUE texts, as the command line has them after `option`, as a dictionary of typed values."""
    from implicit_rank.book.cells import parse_value
    from implicit_rank.parameters import shown

    given = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise BookError(f"{option} takes NAME=VALUE, not {shown(text)}")
        if name == "profile":
            raise BookError(f"the profile is chosen with --profile, not with {option}")
        given[name] = typed_here(parse_value(value))
    return given


def typed_here(value):
    """The value with every "folder:PATH" made absolute, as kernels run elsewhere; ValueError for an absent folder."""
    if isinstance(value, (list, tuple)):
        return [typed_here(item) for item in value]
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    existing_folder(value.removeprefix(PREFIX))
    return absolute_folder(value)


def book_command(args: argparse.Namespace) -> int:
    from implicit_rank.book import execution, pairing, site

    begun = time.monotonic()
    layout = find_layout()
    given = parse_parameters(args.parameter)
    pages = chapters(layout)
    selected = select(pages, args.only)
    for line in pairing.pair(layout):
        say(f"  {line}")
    preview = bool(args.only or given)
    folder = execution.executed_folder(layout, args.profile, given)
    if not args.html_only:
        outcomes = execution.execute(layout, selected, args.profile, given, args.force, say)
        first = site.first_page(layout) if preview and not args.execute_only else None
        if first is not None and not (folder / f"{first}.ipynb").exists():  # a site cannot do without
            outcomes += execution.execute(layout, select(pages, [first]), args.profile, say=say)
        failures = [o for o in outcomes if o.error]
        if failures:
            say("\n" + "\n".join(o.error for o in failures))
            say(f"{len(failures)} of {len(outcomes)} chapters failed; the site was not built.")
            return 1
    if not args.execute_only:
        first = site.build(layout, folder, args.profile, preview, say)
        say(f"Open {layout.short(first)}" + (" (a preview: only chapters executed so far)" if preview else ""))
    say(f"All done in {time.monotonic() - begun:.1f} s.")
    return 0


def pair_command(args: argparse.Namespace) -> int:
    from implicit_rank.book import pairing

    layout = find_layout()
    if args.check:
        stale = pairing.out_of_step(layout)
        for name in stale:
            say(f"{name}.ipynb is out of step with {name}.md: run `make pair`")
        return 1 if stale else 0
    lines = pairing.pair(layout)
    say("\n".join(lines) if lines else "all pairs are in step")
    return 0


def notebooks_command(args: argparse.Namespace) -> int:
    from implicit_rank.book import export

    for line in export.export(find_layout(), args.profile, args.folder):
        say(line)
    return 0


def doctor_command(args: argparse.Namespace) -> int:
    from implicit_rank.book import doctor

    for line in doctor.report(Path.cwd()):
        say(line)
    return 0
