"""Chapter 12: which linear autoencoders find the principal axes (Bao 2020, 7)."""
