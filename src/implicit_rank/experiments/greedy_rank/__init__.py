"""Chapter 2: directions learnt one after another in a linear autoencoder (Sun 2021, 3.1)."""
