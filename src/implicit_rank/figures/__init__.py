"""One function per figure: records in, a matplotlib figure or a piece of HTML out, one style throughout."""
