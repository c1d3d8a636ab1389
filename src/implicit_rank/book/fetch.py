"""The sub-command `fetch`: the one place of the book that goes to the network, and only when asked to."""

import argparse

from implicit_rank.book.layout import BookError

SETS = {"mnist": "MNIST", "fashion": "Fashion-MNIST", "cifar10": "CIFAR-10", "celeba": "CelebA"}
WEIGHTS = "fid-weights"


def add_to(commands) -> None:
    """Register `fetch` on an argparse sub-parser collection."""
    fetch = commands.add_parser("fetch", help="download a data set, or FID's network, into the folder of data")
    about = "what to download; what is there is only checked; without a name, what can be fetched is listed"
    fetch.add_argument("name", nargs="?", choices=(*SETS, WEIGHTS), help=about)
    fetch.set_defaults(command=fetch_command)


def fetch_command(args: argparse.Namespace) -> int:
    """Download what is missing, check it, and say what there is; one sentence if that fails."""
    from implicit_rank.data import data_root

    if args.name is None:
        list_sets()
        return 0
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


def list_sets() -> None:
    """Print what can be fetched, by name, and what of it is there already."""
    from implicit_rank.book.doctor import found_data
    from implicit_rank.data import data_root
    from implicit_rank.evaluate.inception import weights_file

    found = found_data(data_root())
    print(f"python -m implicit_rank fetch NAME downloads, into {data_root()}:")
    for name, title in SETS.items():
        print(f"  {name:12} {title}: {'found' if found[title] else 'not found'}")
    print(f"and into the folder that torch.hub uses:\n  {WEIGHTS:12} FID's network: {weights_file() or 'not found'}")
