"""One module per family of figures: a frozen Spec, `presets(profile)`, `run(specs)` and MEASURES for the ledger."""
