"""Tables that are read in any width."""

import random

import pytest
from rich.console import Console
from rich.text import Text

from crossmesh._explain import text
from crossmesh._sheet import Sheet, shortened


def sheet():
    table = Sheet("People (2)", "@name", "said", ">count", more=3, what=" people")
    table.add("a-name-of-thirty-characters-000", "the quick brown fox jumps over the lazy dog", "1")
    table.add("short", Text("nothing", style="bold"), "20,000")
    return table


def test_what_fits_is_a_table():
    assert text(sheet(), 90).splitlines() == [
        "People (2)",
        "name                             said                                          count",
        "\u2500" * 84,
        "a-name-of-thirty-characters-000  the quick brown fox jumps over the lazy dog       1",
        "short                            nothing                                      20,000",
        "... and 3 more people",
    ]


def test_words_are_wrapped_between_words():
    lines = text(sheet(), 70).splitlines()
    assert lines[3:6] == [
        "a-name-of-thirty-characters-000  the quick brown fox jumps           1",
        "                                 over the lazy dog",
        "short                            nothing                        20,000",
    ]


def test_names_stand_above_their_row_where_they_do_not_fit_beside_it():
    assert text(sheet(), 50).splitlines()[1:] == [
        "  said                                       count",
        "\u2500" * 50,
        "a-name-of-thirty-characters-000",
        "  the quick brown fox jumps over the lazy        1",
        "  dog",
        "short",
        "  nothing                                   20,000",
        "... and 3 more people",
    ]


def test_a_row_is_a_line_of_words_where_its_columns_do_not_fit():
    assert text(sheet(), 24).splitlines()[1:] == [
        "a-name-of-...racters-000",
        "  said the quick brown",
        "  fox jumps over the",
        "  lazy dog, count 1",
        "short",
        "  said nothing,",
        "  count 20,000",
        "... and 3 more people",
    ]


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_wider_than_the_page_or_lost(seed):
    rng = random.Random(seed)
    kinds = [rng.choice(["@", ">", ""]) for _ in range(rng.randint(1, 8))]
    table = Sheet("t", *(f"{kind}h{number}" for number, kind in enumerate(kinds)))
    cells = []
    for row in range(rng.randint(0, 5)):
        made = []
        for number, kind in enumerate(kinds):
            word = f"{row}-{number}" + "x" * rng.randint(0, 12)
            made.append(word if kind else " ".join([word] * rng.randint(1, 6)))
        table.add(*made)
        cells += made
    width = rng.randint(20, 130)
    page = text(table, width)
    assert max(map(len, page.splitlines())) <= width, f"seed {seed}"
    for cell in cells:
        for word in cell.split():
            assert word in page, f"seed {seed}"


def test_what_looks_like_markup_or_control_is_shown_as_it_is():
    table = Sheet("t", "@name", "text")
    table.add("['[red]w[/red]']", "[bold]x\n\x1b[31m")
    page = text(table, 80)
    assert "['[red]w[/red]']" in page
    assert r"[bold]x\n\x1b[31m" in page


def test_a_terminal_without_unicode_gets_none():
    import io

    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=out, width=50).print(sheet())
    out.flush()
    assert out.buffer.getvalue().isascii()


def test_a_long_name_loses_its_middle():
    assert shortened(Text("abcdefghijklmnopqrstuvwxyz"), 11).plain == "abcd...wxyz"
    assert shortened(Text("abc"), 11).plain == "abc"
