"""Results on disk: specs, records, provenance, staleness; see `Store`."""

from implicit_rank.store.checkpoints import (
    Checkpoints,
    checkpoint_folder,
    checkpoint_of,
    checkpoints_with,
    discard_checkpoints,
    unfinished_ensembles,
)
from implicit_rank.store.disk import Record, Store, filter_records, live_record
from implicit_rank.store.exchange import TakenIn, pack_runs, take_in
from implicit_rank.store.files import StoreError, write_text
from implicit_rank.store.fingerprint import fingerprint, fingerprint_parts
from implicit_rank.store.places import checkout, default_root, library
from implicit_rank.store.provenance import provenance
from implicit_rank.store.spec import PROFILES, Spec, canonical_json, code_of, spec_hash

__all__ = [
    "PROFILES",
    "Checkpoints",
    "Record",
    "Spec",
    "Store",
    "StoreError",
    "TakenIn",
    "canonical_json",
    "checkout",
    "checkpoint_folder",
    "checkpoint_of",
    "checkpoints_with",
    "code_of",
    "default_root",
    "discard_checkpoints",
    "filter_records",
    "fingerprint",
    "fingerprint_parts",
    "library",
    "live_record",
    "pack_runs",
    "provenance",
    "spec_hash",
    "take_in",
    "unfinished_ensembles",
    "write_text",
]
