"""The sub-command `fetch`: the one place of the book that goes to the network, and only when asked to."""

import argparse

from implicit_rank.book.layout import BookError

SETS = ("mnist", "fashion", "cifar10", "celeba")
WEIGHTS = "fid-weights"


def add_to(commands) -> None:
    """Register `fetch` on an argparse sub-parser collection."""
    fetch = commands.add_parser("fetch", help="download a data set, or FID's network, into the folder of data")
    fetch.add_argument("name", choices=(*SETS, WEIGHTS), help="what to download; what is there is only checked")
    fetch.set_defaults(command=fetch_command)


def fetch_command(args: argparse.Namespace) -> int:
    """Download what is missing, check it, and say what there is; one sentence if that fails."""
    from implicit_rank.data import data_root

    try:
        if args.name == WEIGHTS:
            from implicit_rank.evaluate.inception import inception_network

            inception_network(download=True)
            print("FID's network is there, and its checksum is right.")
            return 0
        from implicit_rank.data.load import load

        for split in ("train", "test"):
            images = load(args.name, split, download=True)
            print(f"{args.name}, {split}: {images.n:,} images of {images.size} x {images.size} in {data_root()}.")
    except (ConnectionError, FileNotFoundError) as problem:
        raise BookError(str(problem)) from problem
    return 0
