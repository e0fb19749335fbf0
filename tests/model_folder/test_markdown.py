"""Markdown tables: read back, they have the same cells."""

from __future__ import annotations

from twofold.model_folder.markdown import table


def read(text):
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    return lines[0], lines[1], lines[2:]


def test_tables_keep_their_cells_and_align_their_columns():
    rows = [["a|b", 12.5, "–"], ["longer name", -3, "1.0 [0.5–2.0]"]]
    text = table(["name", "n", "figure"], rows)
    head, rule, body = read(text)
    assert head == ["name", "n", "figure"]
    assert body == [["a\\|b", "12.5", "–"], ["longer name", "-3", "1.0 [0.5–2.0]"]]
    assert [cell.endswith(":") for cell in rule] == [False, True, True]  # numbers to the right
    assert len({len(line) for line in text.splitlines()}) == 1


def test_a_table_without_rows_has_its_head():
    assert table(["a"], []).splitlines() == ["| a   |", "| --- |"]
