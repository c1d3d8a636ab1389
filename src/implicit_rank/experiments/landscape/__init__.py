"""Chapter 9: stationary points of regularised linear autoencoders (Bao 2020, 4.1 and 4.2)."""
