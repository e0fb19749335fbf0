"""Prints the report of a data check.

The output goes to a rich console: tables and colour on a terminal, plain lines elsewhere.
"""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from twofold.console.text import counted, printable
from twofold.corpora.check import CheckReport, Finding, SplitReport

PICTURES_SHOWN = 20
_NO_RELATION = "None"
_LARGE_DIFFERENCE = 0.1


def show(report: CheckReport, console: Console) -> None:
    """Print a report."""
    for split in report.splits:
        _show_split(split, console)
    if len(report.splits) > 1:
        _show_across(report, console)
    if report.ambiguous.count:
        _finding(console, "surface forms with more than one entity type", report.ambiguous, style="dim")
    for skipped in report.skipped:
        console.print(f"skipped {escape(printable(skipped))}", style="dim", soft_wrap=True)
    console.print(_conclusion(report), soft_wrap=True)


def _show_split(split: SplitReport, console: Console) -> None:
    _line(console, f"[bold]{escape(split.path)}[/bold]", indent="")
    _line(console, _identity(split))
    if split.note:
        _line(console, f"[yellow]{escape(split.note)}[/yellow]")
    if split.scheme == "IOB1":
        _line(console, "tags are IOB1: an entity begins with I-, or with B- after another of its type")
    _line(console, _counts(split))
    if split.types or split.relations:
        console.print(_types(split))
    _show_order(split, console)
    _show_pictures(split, console)
    _finding(console, "rejected records", split.rejected, style="red")
    _finding(
        console,
        "entities whose labels begin with I- instead of B- (the strict score leaves them out)",
        split.ill_formed,
    )
    _finding(
        console, "entities that begin or end inside a word (no prediction can match them)", split.misaligned
    )
    _finding(
        console, "entities that overlap another one (training learns at most one of them)", split.overlapping
    )
    _finding(console, "repeated texts in this file", split.duplicates)
    for kind, count in split.unusual.items():
        _line(console, f"{kind}: {count:,} (kept as they are)")
    if split.empty_tokens:
        _line(console, f"empty tokens: {split.empty_tokens:,} (left out)")
    console.print()


def _identity(split: SplitReport) -> str:
    release = split.release
    if release is None:
        return f"no known release ({split.format}, MD5 {split.md5})"
    return (
        f"[green]{release.title} {release.split}[/green], {release.labels} ({split.format}, MD5 {split.md5})"
    )


def _counts(split: SplitReport) -> str:
    parts = [counted(split.posts, "post"), counted(split.tokens, "token")]
    if split.relations:
        parts.append(counted(split.relations.total(), "relation"))
    if split.entities or not split.relations:
        parts.append(
            f"{counted(split.entities, 'entity')} (lenient), {split.entities_strict:,} by B- tags (strict)"
        )
    if split.posts and not split.labelled:
        parts.append("no labelled post (evaluate, train and calibrate need some)")
    if split.alt_texts:
        parts.append(f"{split.alt_texts:,} with alt text")
    return ", ".join(parts)


def _types(split: SplitReport) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=True)
    table.add_column("type")
    if split.types:
        table.add_column("lenient", justify="right")
        table.add_column("by B-", justify="right")
        for name, count in sorted(split.types.items()):
            table.add_row(escape(printable(name)), f"{count:,}", f"{split.types_strict[name]:,}")
        return table
    table.add_column("relations", justify="right")
    for name, count in split.relations.most_common():
        table.add_row(escape(printable(name)), f"{count:,}")
    return table


def _show_order(split: SplitReport, console: Console) -> None:
    """Print whether the order of head and tail reveals which pairs have no relation."""
    none = split.relations[_NO_RELATION]
    related = split.relations.total() - none
    if not none or not related:
        return
    first = split.head_first[_NO_RELATION]
    others = split.head_first.total() - first
    order = f"the head comes first in {first:,} of {none:,} pairs without a relation"
    order += f", and in {others:,} of {related:,} with one"
    differs = abs(first / none - others / related) > _LARGE_DIFFERENCE
    _line(console, f"[yellow]{order}: the order alone reveals the class None[/yellow]" if differs else order)


def _show_pictures(split: SplitReport, console: Console) -> None:
    pictures = split.pictures
    if not pictures.posts:
        named = f"{pictures.named:,} different pictures named; " if pictures.named else ""
        _line(console, f"{named}no picture available to check" + (" (give --images DIR)" if named else ""))
        return
    _line(
        console,
        f"{counted(pictures.posts, 'post')} with a picture, {pictures.named:,} different ones named; "
        f"{counted(pictures.readable, 'file')} can be read, {len(pictures.unreadable):,} cannot",
    )
    for entry in pictures.unreadable[:PICTURES_SHOWN]:
        _line(console, f"[red]{escape(entry)}[/red]", indent="    ")
    if len(pictures.unreadable) > PICTURES_SHOWN:
        more = len(pictures.unreadable) - PICTURES_SHOWN
        _line(console, f"and {more:,} more; --json FILE names them all", indent="    ")


def _show_across(report: CheckReport, console: Console) -> None:
    if not report.shared_texts:
        console.print("no two files share an identical text")
    for names, finding in report.shared_texts.items():
        _finding(console, f"identical texts in {names}", finding, style="yellow", indent="")
    for names, finding in report.alike_texts.items():
        if finding.count > report.shared_texts.get(names, Finding()).count:
            what = f"texts that differ only in case, links, mentions and punctuation in {names}"
            _finding(console, what, finding, style="yellow", indent="")


def _finding(
    console: Console, what: str, finding: Finding, style: str = "yellow", indent: str = "  "
) -> None:
    if not finding.count:
        return
    _line(console, f"[{style}]{escape(what)}: {finding.count:,}[/{style}]", indent)
    for example in finding.examples:
        _line(console, escape(example), indent + "  ")
    if finding.count > len(finding.examples):
        _line(console, f"and {finding.count - len(finding.examples):,} more", indent + "  ")


def _line(console: Console, text: str, indent: str = "  ") -> None:
    console.print(f"{indent}{printable(text)}", soft_wrap=True, highlight=False)


def _conclusion(report: CheckReport) -> str:
    if report.exit_code == 2:
        return "[red]nothing could be read[/red]"
    rejected = sum(split.rejected.count for split in report.splits)
    unreadable = sum(len(split.pictures.unreadable) for split in report.splits)
    if not rejected and not unreadable:
        overlapping = sum(split.overlapping.count for split in report.splits)
        if not overlapping:
            return "[green]every record can be used[/green]"
        lost = counted(overlapping, "overlapping entity")
        return f"[yellow]every record can be used, but not every entity ({lost})[/yellow]"
    both = f"{counted(rejected, 'record')} and {counted(unreadable, 'picture')}"
    return f"[red]{both} cannot be used[/red]"
