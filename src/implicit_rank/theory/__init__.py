"""One labelled equation of the book, one function."""
