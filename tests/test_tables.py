"""Tables: what a cell says of several seeds."""

from implicit_rank.figures.kit.tables import ends, spread, table


def test_spread_tells_mean_range_and_how_many():
    nan = float("nan")
    assert spread([0.9, 0.91, 0.92], ".2f") == "0.91 (0.90\u2060–\u20600.92)"
    assert spread([3, 3.0], ".1f") == "3"
    assert spread([0.301, 0.302], ".1f") == "0.3"
    assert spread([3, 4, 4], ".1f") == "3.7 (3\u2060–\u20604)"  # ends of counts are counts
    assert spread([-0.1, 0.1], ".1f") == "0.0 (-0.1\u00a0to\u00a00.1)"
    assert spread([4, nan, 6], ".0f") == "5 (4\u2060–\u20606) in\u00a02\u00a0of\u00a03"
    assert spread([nan, float("inf")]) == spread([]) == "–"


def test_ends_are_words_for_a_sentence():
    assert ends([5, 3]) == "3 to 5"
    assert ends([5, float("nan"), 3]) == "3 to 5 (in 2 of 3)"
    assert ends([0.061, -0.06], "{:.2f}") == "−0.06 to 0.06"
    assert ends([2.2, 1.8]) == "2"
    assert ends([float("inf")]) == "never"
    assert ends([]) == "(not run)"


def test_a_table_escapes_its_cells_and_says_when_it_is_empty():
    html = table(["a < b"], [["1 & 2"]])._repr_html_()
    assert "a &lt; b" in html
    assert "1 &amp; 2" in html
    assert "<i>W<sub>e</sub></i>" in table(["rank of W_e"], [["1"]])._repr_html_()
    assert "No stored run" in table(["a"], [])._repr_html_()


def test_rows_in_blocks_stand_under_their_heads_and_an_empty_block_is_left_out():
    html = table(["a", "b"], {"Stored <1>": [["1", "2"]], "None": [], "This build": [["3", "4"]]})._repr_html_()
    assert html.count("<tr>") == 1 + 2 + 2
    assert html.count("colspan='2'") == 2
    assert "None" not in html
    assert html.index("Stored &lt;1&gt;") < html.index(">1<") < html.index("This build") < html.index(">3<")
    assert "rowgroup" not in table(["a"], {"": [["1"]]})._repr_html_()
    assert "No stored run" in table(["a"], {"Stored": [], "This build": []})._repr_html_()
