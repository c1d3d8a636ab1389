"""Results on disk: specs, records, provenance, staleness; see `Store`."""

from implicit_rank.store.disk import Record, Store, checkout, default_root, filter_records, live_record
from implicit_rank.store.files import StoreError, write_text
from implicit_rank.store.fingerprint import fingerprint, fingerprint_parts
from implicit_rank.store.provenance import provenance
from implicit_rank.store.spec import PROFILES, Spec, canonical_json, slug, spec_hash

__all__ = [
    "PROFILES", "Record", "Spec", "Store", "StoreError", "canonical_json", "checkout", "default_root",
    "filter_records", "fingerprint", "fingerprint_parts", "live_record", "provenance", "slug", "spec_hash",
    "write_text",
]
