"""Hand a figure, animation or number of a chapter to its text.

The page's `{glue:figure}` directives and `{glue:text}` roles find what was glued by its name. This is the
same record that `myst_nb.glue` writes, without needing Sphinx beside the notebook.
"""

import base64
import io
import sys

PAGE_DPI = 144  # sharp on dense screens; the page scales figures down to the width of its text


def glue(name, value):
    """Make `value` available to the page under `name`, and show it in the notebook if it is to be looked at.

    `value` is a matplotlib figure, an object with an HTML form (a table, an animation), or a number or text
    (numbers and text are recorded without being shown). Zero-dimensional arrays and tensors count as numbers.
    Raises TypeError for anything else.
    """
    from IPython.display import display

    if hasattr(value, "savefig"):
        data, metadata, prefix = *_picture(value), ""
    elif hasattr(value, "_repr_html_"):
        data, metadata, prefix = {"text/html": value._repr_html_(), "text/plain": f"<{name}>"}, {}, ""
    else:
        if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
            value = value.item()  # repr(np.float64(0.5)) is not a number, and the page formats the repr
        if not isinstance(value, int | float | str):
            raise TypeError(f"glue takes a figure, HTML, number or text, not {type(value).__name__}")
        prefix = "application/papermill.record/"
        data, metadata = {prefix + "text/plain": repr(value)}, {}
    display(data, metadata=metadata | {"scrapbook": {"name": name, "mime_prefix": prefix}}, raw=True)


def _picture(figure):
    """PNG of a figure, the same bytes each time; the figure is closed so that it is not shown twice."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", dpi=PAGE_DPI, bbox_inches="tight", metadata={"Software": None, "Creation Time": None}
    )
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)
    picture = buffer.getvalue()
    width = int.from_bytes(picture[16:20], "big")  # the PNG header carries the width there
    data = {"image/png": base64.b64encode(picture).decode(), "text/plain": "<figure>"}
    return data, {"image/png": {"width": round(width * 100 / PAGE_DPI)}}
