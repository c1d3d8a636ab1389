"""Chapter 5: which parts of the linear layers matter (Jing 2020, 4.4)."""
