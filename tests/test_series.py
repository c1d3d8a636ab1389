"""Questions that were asked of two series: what the table says of them."""

from implicit_rank.claims.grammar import Claim
from implicit_rank.claims.judging import Judgement
from implicit_rank.claims.series import asked_twice, in_words


def row(name, verdict, **fields):
    claim = Claim("P", name, "Figure 1", "Up.", "01", "value", "toy", "m", expected=1.0, tolerance=0.1, **fields)
    return Judgement(claim, verdict, "", (), None, (), False)


def test_rows_stand_beside_the_rows_that_judge_them_now():
    first, again, alone = row("a", "inconclusive", superseded_by="b"), row("b", "reproduced"), row("c", "one run")
    other = row("d", "reproduced", superseded_by="b")
    text = repr(asked_twice({one.claim.id: one for one in (first, again, alone, other)}))
    assert "Up., first series: inconclusive" in text
    assert "Up., registered series: reproduced" in text
    assert "Up. (Figure 1), first series: reproduced" in text  # rows of one wording are both there
    assert "one run" not in text
    assert "Of 2 questions the first series left 1 open, of which the second decides 1; it confirms 1" in text


def test_what_the_second_series_does_is_counted():
    pairs = [("inconclusive", "inconclusive"), ("inconclusive", "not reproduced"), ("reproduced", "not reproduced")]
    pairs += [("reproduced", "inconclusive"), ("not reproduced", "not reproduced"), ("reproduced", "not run")]
    assert in_words(pairs) == (
        "Of 6 questions the first series left 2 open, of which the second decides 1; it confirms 1 verdicts, "
        "reverses 1 and leaves 1 open that the first had decided. 1 are not run again yet."
    )
