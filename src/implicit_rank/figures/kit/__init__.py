"""What all figures share: the look, tables, captions, sliders."""
