"""What several experiments share: results, autoencoder runs, ranks along a run, measures."""
