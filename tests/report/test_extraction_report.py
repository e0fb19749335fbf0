"""The page: one file, safe with any text, complete, with a note on everything left out."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_page import EVIDENCE, NASTY, Page, entity, found

from twofold.errors import DataError
from twofold.posts import Entity, Extraction, PictureReport, Post, Rejected, SourceEvidence, Uncertainty
from twofold.report import write_report
from twofold.report.extraction_report import POST_LIMIT


def photo(width: int = 900, height: int = 600) -> bytes:
    rng, buffer = np.random.default_rng(0), io.BytesIO()
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    coarse.resize((width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def page(tmp_path: Path):
    def build(extractions: Iterable[tuple[Post, Extraction]], **options: object) -> Page:
        path = tmp_path / "report.html"
        write_report(extractions, path, **{"model": "test model", **options})
        return Page(path.read_text(encoding="utf-8"))

    return build


# --- one file ----------------------------------------------------------------------------------------


def test_nothing_is_loaded_from_anywhere(page) -> None:
    text = "see https://example.org/a and http://example.org/b"
    built = page([found("a", text, entity(text, "example"), status="read", image=photo())])
    for _, attributes in built.elements:
        for name in ("src", "href", "action", "srcset", "poster", "data"):
            assert re.match(r"data:|#", attributes.get(name) or "#")
    assert not built.all("link")
    assert not built.all("iframe")
    style = re.search(r"<style>(.*?)</style>", built.html, re.DOTALL)
    assert style
    assert "url(" not in style.group(1)
    assert "@import" not in style.group(1)
    (policy,) = [a["content"] for a in built.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'")


def test_the_policy_allows_the_pages_own_script_and_no_other(page) -> None:
    built = page([found("a", "b")])
    (script,) = re.findall(r"<script>(.*?)</script>", built.html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in built.html


def test_the_page_is_readable_without_its_script(page) -> None:
    text = "Ada met Bo"
    built = page([found("a", text, entity(text, "Ada"))])
    assert "Ada" in built.text
    (sorting,) = built.all("details", **{"class": "sort-and-filter"})
    assert "hidden" in sorting  # the script shows it
    assert not [a for a in built.all("article") if "hidden" in a]


def test_importing_the_report_does_not_import_torch(tmp_path: Path) -> None:
    program = "import sys, twofold.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- text from outside --------------------------------------------------------------------------------


def test_markup_in_every_field_stays_text(page, tmp_path: Path) -> None:
    sources = {NASTY: SourceEvidence(0.9, 0.1, 0.1), "text": SourceEvidence(0.1, 0.1, 0.1)}
    bad = Entity(0, 8, NASTY, NASTY, 0.5, Uncertainty(1, 1), sources)
    post = Post(NASTY, NASTY, alt_text=NASTY, image=tmp_path / "x")
    extraction = Extraction(NASTY, NASTY, (bad,), PictureReport("unreadable", NASTY), NASTY, (NASTY,))
    clean = page([found("a", "b")])
    built = page([(post, extraction)], model=NASTY, rejected=[Rejected(NASTY, NASTY, NASTY)])
    assert len(built.all("script")) == len(clean.all("script")) == 1
    assert not built.all("img")
    assert not [a for _, a in built.elements if any(name.startswith("on") for name in a)]
    assert built.text.count("<script>alert(1)</script>") >= 7


def test_quotes_do_not_end_attributes(page) -> None:
    built = page([found("a", "b", status="read", image=photo(), alt_text="\"'><b>bold</b> & <i>so on")])
    (image,) = built.all("img")
    assert image["alt"] == "\"'><b>bold</b> & <i>so on"
    assert "<b>bold</b>" not in built.html


def test_the_filter_gets_full_type_names(page) -> None:
    import json

    kinds = ["two words", 'q"uote', "it's", "<b>"]
    text = "a b c d"
    built = page([found(1, text, *(entity(text, w, k) for w, k in zip("abcd", kinds, strict=True)))])
    (article,) = built.all("article")
    assert json.loads(str(article["data-entity-types"])) == kinds
    assert [a["value"] for a in built.all("input", type="checkbox")] == kinds


def test_offsets_are_code_points(page) -> None:
    text = "🇺🇸👩‍👩‍👧 Zoë met Åsa 🎉 in Köln!"
    words = [entity(text, "Zoë"), entity(text, "Åsa"), entity(text, "Köln", "LOC")]
    built = page([found("a", text, *words)])
    marks = re.findall(r'<mark class="[^"]*">(.*?)<span class="tag">', built.html)
    assert marks == ["Zoë", "Åsa", "Köln"]
    assert "🇺🇸👩‍👩‍👧 " in built.html


def test_the_text_is_complete_and_in_order(page) -> None:
    text = "  two  spaces\nand Ada a line   "
    built = page([found("a", text, entity(text, "Ada"))])
    (body,) = re.findall(r'<p class="text"[^>]*>(.*?)</p>', built.html, re.DOTALL)
    body = re.sub(r'<span class="tag">.*?</span>', "", body)
    assert re.sub(r"<[^>]+>", "", body) == text


def test_bidirectional_overrides_are_named_and_have_no_effect(page) -> None:
    override, text = "\u202e", "file\u202egnp.exe by Ada\u202d\u202c end"
    built = page(
        [found(f"id{override}", text, entity(text, "Ada\u202d"), alt_text=f"alt{override}")],
        rejected=[Rejected(f"o{override}", f"r{override}", f"raw{override}")],
    )
    assert override not in built.html
    assert "\u202c" not in built.html
    assert "\u202d" not in built.html
    assert built.html.count(">RLO</span>") == 6
    assert 'title="U+202E right-to-left override"' in built.html


def test_every_untrusted_text_is_isolated(page) -> None:
    hebrew = "שלום דנה כהן ועוד"
    built = page(
        [found("מזהה", hebrew, entity(hebrew, "דנה כהן"), alt_text=hebrew)],
        rejected=[Rejected("קובץ", "סיבה", "שורה")],
    )
    isolating = re.compile(r"<bdi[^>]*>[^<]*$|<(p|span|code)[^>]* dir=[^>]*>[^<]*$")
    for match in re.finditer(r"[\u0590-\u05ff][^<]*", built.html):
        before = built.html[: match.start()]
        inside = isolating.search(before) or "<mark" in before[-80:] or "</mark>" in before[-80:]
        assert inside, before[-80:]


def test_the_direction_is_that_of_the_whole_text(page) -> None:
    hebrew = "דנה כהן likes UNESCO"
    built = page(
        [
            found(1, hebrew, entity(hebrew, "דנה כהן")),
            found(
                2,
                "UNESCO אוהבת",
            ),
            found(3, "123 🎉"),
        ]
    )
    assert [a["dir"] for a in built.all("p") if a.get("class") == "text"] == ["rtl", "ltr", "ltr"]


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x85", "\ud800", "\ufffe"])
def test_characters_that_html_cannot_hold_are_named(character: str, page) -> None:
    text = f"a{character}b Ada"
    built = page([found("a", text, entity(text, "Ada"))])
    assert character not in built.html
    assert f">U+{ord(character):04X}</span>" in built.html


def test_joiners_are_kept(page) -> None:
    text = "می‌خواهم 👨‍👩‍👧"
    assert text in page([found("a", text)]).html


@pytest.mark.parametrize("field", ["text", "id", "alt_text"])
def test_thousands_of_combining_marks_do_not_cover_the_page(field: str, page) -> None:
    marks = "Z" + "\u0301\u0315\u0336" * 17_000
    values = {"id": "a", "text": "Ada", "alt_text": None, field: marks}
    built = page([found(values["id"], values["text"], alt_text=values["alt_text"])])
    assert not re.search(r"[\u0300-\u036f]{9}", built.html)
    assert re.search(r"\+[\d,]+ marks", built.text)
    assert re.search(r"\.text,[^{]*\{ overflow: clip", built.html)


def test_thousands_of_empty_lines_do_not_stretch_the_page(page) -> None:
    built = page([found("a", "above" + "\n" * 2_000 + "below")])
    assert "above+1,998 line breaks below" in built.text
    (body,) = re.findall(r'<p class="text"[^>]*>(.*?)</p>', built.html, re.DOTALL)
    assert body.count("\n") == 2


# --- what comes first --------------------------------------------------------------------------------


def test_summary_filters_and_guide_are_folded_so_that_posts_come_first(page) -> None:
    built = page([found("a", "Ada", entity("Ada", "Ada"))])
    head = built.html[built.html.index("<body>") : built.html.index("<main")]
    folded = re.findall(r"<details[^>]*>.*?</details>", head, re.DOTALL)
    assert [re.sub(r"<[^>]+>", "", re.findall(r"<summary>.*?</summary>", part)[0]) for part in folded] == [
        "Summary",
        "Sort and filter",
        "How to read this page",
    ]
    assert not [a for a in built.all("details") if "open" in a]
    for part in folded:
        head = head.replace(part, "")
    assert "<select" not in head
    assert "histogram" not in head
    assert '<dl class="legend"' in head


def test_the_legend_names_every_colour_and_line(page) -> None:
    text = "Ada in Bonn"
    ada, bonn = entity(text, "Ada", **EVIDENCE), entity(text, "Bonn", "LOC")
    (legend,) = re.findall(r'<dl class="legend".*?</dl>', page([found(1, text, ada, bonn)]).html, re.DOTALL)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", legend))
    for part in ("PER person", "LOC location", "80 % or more", "50 to 80 %", "under 50 %"):
        assert part in words
    assert "Evidence text picture alt text" in words
    assert "Evidence" not in page([found(1, text, bonn)]).text


def test_number_and_id_of_a_post_are_labelled(page) -> None:
    assert "Post 1 ID curie-1903" in page([found("curie-1903", "a")]).text


def test_each_group_of_filters_has_a_line_of_its_own(page) -> None:
    built = page([found("a", "Ada", entity("Ada", "Ada"))])
    (form,) = re.findall(r"<form.*?</form>", built.html, re.DOTALL)
    (fields,) = re.findall(r'<div class="fields">.*?</div>', form, re.DOTALL)
    assert "<fieldset" not in fields
    assert re.search(r"\.controls \{ display: grid", built.html)


def test_modality_shares_are_shown_only_for_posts_with_several(page) -> None:
    alone = {"uncertainty": EVIDENCE["uncertainty"], "sources": {"text": SourceEvidence(1.0, 0.1, 0.1)}}
    built = page([found(1, "Ada", entity("Ada", "Ada", **alone))])
    assert "text 100" not in built.text.replace("\xa0", " ")
    assert "Evidence" not in built.text
    both = page(
        [found(1, "Ada", entity("Ada", "Ada", **alone)), found(2, "Bo", entity("Bo", "Bo", **EVIDENCE))]
    )
    heads = [re.findall(r"Evidence, %", table) for table in both.html.split('<table role="table"')[1:]]
    assert [len(found) for found in heads] == [0, 1]


def test_uncertainties_are_words_in_the_table_and_numbers_when_unfolded(page) -> None:
    values = [0.145, 1.3, 54.6]
    text = "a b c"
    words = [
        entity(text, w, "PER", 0.9, uncertainty=Uncertainty(v, v)) for w, v in zip("abc", values, strict=True)
    ]
    html = page([found(1, text, *words)]).html
    (table,) = re.findall(r'<table role="table".*?</table>', html, re.DOTALL)
    levels = re.findall(r'data-label="epistemic"><span class="([a-z]+)-level"[^>]*>([a-z]+)<', table)
    assert levels == [("low", "low"), ("medium", "medium"), ("high", "high")]
    assert "54.6" not in re.sub(r"<[^>]+>", "", table)
    assert "54.6" in re.findall(r"<summary>Uncertainty in numbers.*?</details>", html, re.DOTALL)[0]


# --- what is shown -----------------------------------------------------------------------------------


def test_a_picture_beside_its_text(page) -> None:
    built = page([found("a", "text", status="read", image=photo(900, 600), alt_text="a hill")])
    (image,) = built.all("img")
    assert str(image["src"]).startswith("data:image/jpeg;base64,")
    assert (image["width"], image["height"], image["alt"]) == ("512", "341", "a hill")
    data = base64.b64decode(str(image["src"]).split(",")[1])
    with Image.open(io.BytesIO(data)) as small:
        assert small.size == (512, 341)
    assert len(data) < 60_000


def test_the_reason_for_a_broken_picture_is_shown(page) -> None:
    built = page(
        [found("a", "t", status="unreadable", reason="the picture is truncated", image=photo()[:99])]
    )
    assert "Picture could not be read" in built.text
    assert "the picture is truncated" in built.text
    assert not built.all("img")
    assert "1 picture could not be read" in built.text


def test_a_missing_picture_is_reported(page, tmp_path: Path) -> None:
    rows = [
        found(1, "t", status="read", image=tmp_path / "gone.jpg"),
        found(2, "t", status="read"),
    ]
    built = page(rows)
    assert built.text.count("Picture not shown") == 2
    assert "file not found" in built.text
    assert "no longer carries its picture" in built.text


def test_a_post_without_a_picture_has_no_column_for_one(page) -> None:
    built = page([found("a", "t")])
    assert "No picture" in built.text
    assert not built.all("figure")
    assert built.all("article", **{"class": "post text-only"})
    assert not built.all("div", **{"class": "notice broken"})


def test_the_alt_text_of_a_post_without_a_picture_is_shown(page) -> None:
    built = page([found("a", "t", alt_text="a hill")])
    assert "Alt text a hill" in built.text


def test_a_note_on_the_picture(page) -> None:
    built = page([found("a", "t", status="read", reason="animated: only the first frame", image=photo())])
    assert "animated: only the first frame" in built.text


def test_confidence_uncertainty_and_evidence(page) -> None:
    text = "Ada"
    built = page([found("a", text, entity(text, "Ada", confidence=0.873, **EVIDENCE))])
    for figure in ("87", "0.250", "0.031", "text 50", "picture 30", "alt text 20"):
        assert figure in built.text.replace("\xa0", " ")
    assert [a["data-confidence"] + "/" + a["data-picture"] for a in built.all("article")] == ["0.873/0.3"]
    assert "Uncertainty in numbers" in built.text


def test_entities_without_evidence(page) -> None:
    text = "Ada met Bo"
    built = page([found("a", text, entity(text, "Ada", confidence=None), entity(text, "Bo", confidence=0.5))])
    assert "—" in built.text
    assert "Uncertainty in numbers" not in built.text
    (article,) = built.all("article")
    assert (article["data-aleatoric"], article["data-picture"], article["data-confidence"]) == ("", "", "0.5")


@pytest.mark.parametrize(
    ("confidence", "shown"), [(1.0, "100"), (0.9999, ">99"), (0.0, "0"), (0.0001, "<1"), (0.5, "50")]
)
def test_nothing_is_rounded_to_certainty(confidence: float, shown: str, page) -> None:
    built = page([found("a", "Ada", entity("Ada", "Ada", confidence=confidence))])
    assert f"{shown} %" in built.text.replace("\xa0", " ")


def test_types_keep_their_colours_and_unknown_ones_follow(page) -> None:
    text = "a b c d e f g h i j k l"
    kinds = ["MISC", "weapon", "PER", "event", *(f"type {n}" for n in range(8))]
    words = (entity(text, w, k) for w, k in zip(text.split(), kinds, strict=True))
    html = page([found("a", text, *words)]).html
    colour = {k: re.search(rf'class="tag (t\d)"><bdi>{k}<', html).group(1) for k in kinds}
    assert (colour["MISC"], colour["PER"], colour["weapon"], colour["event"]) == ("t3", "t0", "t4", "t5")
    assert set(colour.values()) <= {f"t{n}" for n in range(8)}


def test_overlapping_and_impossible_spans_do_not_break_the_text(page) -> None:
    text = "Ada Lovelace"
    odd = [
        Entity(0, 12, text, "PER", 0.9),
        Entity(4, 12, "Lovelace", "LOC", 0.2),
        Entity(50, 60, "nowhere", "ORG", 0.3),
        Entity(3, 3, "", "ORG", 0.3),
    ]
    built = page([found("a", text, *odd)])
    assert len(built.all("mark")) == 1
    assert "nowhere" in built.text


def test_characters_beyond_the_limit_are_counted(page) -> None:
    text = "x" * 100_000
    built = page([found("a", text, Entity(2_990, 3_010, text[:20], "PER", 0.5))])
    assert "96,990 characters more, not shown" in built.text
    beyond = page([found("a", text, Entity(50_000, 50_001, "x", "PER", 0.5))])
    assert "97,000 characters more, not shown" in beyond.text
    assert len(built.html) < 60_000


def test_entities_beyond_the_limit_are_counted(page) -> None:
    text = "a " * 1000
    built = page([found("a", text, *(Entity(2 * i, 2 * i + 1, "a", "PER", 0.5) for i in range(1000)))])
    assert "800 entities more, not shown" in built.text
    assert "1 post, 1,000 entities" in built.text


def test_rejected_lines_with_reasons(page) -> None:
    rejected = [Rejected(f"posts.jsonl:{n}", f"reason {n}", f"raw {n}") for n in range(300)]
    built = page([found("a", "b")], rejected=rejected)
    assert "300 lines were rejected" in built.text
    for part in ("posts.jsonl:7", "reason 7", "raw 7", "reason 199"):
        assert part in built.text
    assert "reason 200" not in built.text
    assert "And 100 lines more, not shown" in built.text


def test_the_list_of_rejected_lines_may_grow_while_the_stream_is_read(page) -> None:
    rejected: list[Rejected] = []

    def stream() -> Iterator[tuple[Post, Extraction]]:
        yield found("a", "b")
        rejected.append(Rejected("f:2", "late", ""))

    assert "late" in page(stream(), rejected=rejected).text


@pytest.mark.parametrize("rejected", [(), [Rejected("f:1", "why", "raw")]])
def test_zero_posts(rejected: list[Rejected], page) -> None:
    built = page([], rejected=rejected)
    assert "0 posts, 0 entities" in built.text
    assert "There are no posts to show" in built.text
    assert ("why" in built.text) == bool(rejected)
    assert not built.all("script")


def test_the_heading_counts(page) -> None:
    text = "Ada saw Bonn and Rome"
    rows = [
        found(
            1, text, entity(text, "Ada", "PER", 0.4), entity(text, "Bonn", "LOC"), entity(text, "Rome", "LOC")
        ),
        found(2, "", status="unreadable"),
    ]
    built = page(rows)
    assert "2 posts, 3 entities" in built.text
    assert "1 entity is more likely wrong than right" in built.text
    assert "test model" in built.text
    assert "0, 0, 0, 0, 1, 0, 0, 0, 0, 2" in built.html  # the histogram for screen readers


# --- order and limit ---------------------------------------------------------------------------------


def test_lowest_confidence_first(page) -> None:
    def one(id: int, *confidences: float, status: str = "none") -> tuple[Post, Extraction]:
        text = "a b c"
        words = [entity(text, w, "PER", c) for w, c in zip("abc", confidences, strict=False)]
        return found(id, text, *words, status=status)

    rows = [one(1), one(2, 0.9), one(3, 0.99, 0.2), one(4), one(5, 0.9), one(6, status="unreadable")]
    assert page(rows).posts() == ["3", "2", "5", "6", "1", "4"]


def test_the_limit_keeps_the_least_confident_posts_and_is_reported(page) -> None:
    rng = np.random.default_rng(1)
    confidences = rng.permutation(np.linspace(0.01, 0.99, 800))
    rows = (found(i, "a", Entity(0, 1, "a", "PER", float(c))) for i, c in enumerate(confidences))
    built = page(rows)
    expected = [str(i + 1) for i in np.argsort(confidences)[:POST_LIMIT]]
    assert built.posts() == expected
    assert "shows 500 of 800 posts" in built.text
    assert "800 posts, 800 entities" in built.text


def test_a_limit_that_is_not_reached_is_not_mentioned(page) -> None:
    assert "This page shows" not in page([found(n, "a") for n in range(3)], limit=3).text
    built = page([found(n, "a") for n in range(3)], limit=0)
    assert built.posts() == []
    assert "shows 0 of 3 posts" in built.text


def test_memory_does_not_grow_with_the_stream(tmp_path: Path) -> None:
    alive, most = [0], [0]

    class Counted(str):
        def __new__(cls, text: str) -> Counted:
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            return super().__new__(cls, text)

        def __del__(self) -> None:
            alive[0] -= 1

    write_report(
        (found(Counted(f"id {n}"), "a") for n in range(3_000)), tmp_path / "r.html", model="m", limit=20
    )
    assert most[0] <= 25


# --- the file ----------------------------------------------------------------------------------------


def test_the_folder_is_created(tmp_path: Path) -> None:
    write_report([], tmp_path / "new" / "folder" / "r.html", model="m")
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["r.html"]


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written"):
        write_report([], tmp_path / "file" / "r.html", model="m")
    with pytest.raises(DataError, match="cannot be written"):
        write_report([], tmp_path, model="m")


def test_a_stream_that_fails_leaves_the_old_report(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("old", encoding="utf-8")

    def stream() -> Iterator[tuple[Post, Extraction]]:
        yield found("a", "b")
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        write_report(stream(), path, model="m")
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    rows = [found(n, "Ada", entity("Ada", "Ada", **EVIDENCE), status="read", image=photo()) for n in range(3)]
    for name in ("a", "b"):
        write_report(rows, tmp_path / name, model="m")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
