"""Chapter 3: autoencoders of shapes with a known number of factors (Jing 2020, 4.1)."""
