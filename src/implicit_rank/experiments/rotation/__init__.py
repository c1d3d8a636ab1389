"""Chapter 11: the rotation augmented gradient (Bao 2020, 6)."""
