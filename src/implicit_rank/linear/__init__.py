"""Training linear autoencoders, full batch, many members at once."""
