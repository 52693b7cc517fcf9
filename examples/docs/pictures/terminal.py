#!/usr/bin/env python3
"""Draws what a terminal shows as SVG: reads `tmux capture-pane -e -p`, writes to standard output.

    tmux -L pictures new-session -d -x 110 -y 20 polyport top
    tmux -L pictures capture-pane -e -p | python3 terminal.py 'What it shows' > top.svg

Every cell keeps its place, whatever font is there: each run of letters is stretched to its columns.
"""
import re
import sys
from xml.sax.saxutils import escape, quoteattr

WIDTH, HEIGHT, EDGE = 7.7, 17, 12
COLOURS = {31: "#f07178", 32: "#c3e88d", 33: "#ffcb6b", 34: "#82aaff", 35: "#c792ea", 36: "#89ddff"}
TEXT, GROUND, DIM = "#d6deeb", "#0d1726", "#7b8aa0"
BARS = {sign: (at + 1) / 8 for at, sign in enumerate("▁▂▃▄▅▆▇█")}


def runs(line, look):
    """Runs of letters of one look: (column, text, look). It goes on from line to line."""
    column = 0
    for codes, text in re.findall(r"\x1b\[([0-9;]*)m|([^\x1b]+)", line):
        if text:
            yield column, text, dict(look)
            column += len(text)
            continue
        codes = re.sub(r"38;5;([0-7])\b", r"3\1", codes)
        for code in [int(code or 0) for code in codes.split(";")]:
            if code == 0:
                look.clear()
            elif code in (1, 2, 4, 7):
                look[{1: "bold", 2: "dim", 4: "line", 7: "turned"}[code]] = True
            elif code in COLOURS:
                look["colour"] = COLOURS[code]
            elif code == 39:
                look.pop("colour", None)


def rect(column, row, columns, share, colour):
    height = HEIGHT * share
    y = EDGE + (row + 1) * HEIGHT - height
    return (f'<rect x="{EDGE + column * WIDTH:.1f}" y="{y:.1f}" width="{columns * WIDTH + 0.1:.1f}" '
            f'height="{height:.1f}" fill="{colour}"/>')


def drawn(row, column, text, look):
    colour = look.get("colour", DIM if look.get("dim") else TEXT)
    if look.get("turned"):
        yield rect(column, row, len(text), 1, colour)
        colour = GROUND
    letters = ""
    for at, sign in enumerate(text):
        if sign in BARS:
            yield rect(column + at, row, 1, BARS[sign], colour)
        letters += " " if sign in BARS else sign
    for found in re.finditer(r"\S+(?: \S+)*", letters):
        word = found.group()
        style = ' font-weight="bold"' if look.get("bold") else ""
        style += ' text-decoration="underline"' if look.get("line") else ""
        x, y = EDGE + (column + found.start()) * WIDTH, EDGE + row * HEIGHT + 13
        yield (f'<text x="{x:.1f}" y="{y}" textLength="{len(word) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs" '
               f'fill="{colour}"{style}>{escape(word)}</text>')


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    title = sys.argv[1] if len(sys.argv) > 1 else "a terminal"
    look = {}
    rows = [list(runs(line, look)) for line in lines]
    columns = max(column + len(text) for row in rows for column, text, _ in row)
    width, height = 2 * EDGE + columns * WIDTH, 2 * EDGE + len(lines) * HEIGHT
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
          f'height="{height}" shape-rendering="crispEdges" role="img" aria-label={quoteattr(title)}>')
    print(f"<title>{escape(title)}</title>")
    print(f'<rect width="100%" height="100%" rx="6" fill="{GROUND}"/>')
    print('<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12.8" xml:space="preserve">')
    for number, row in enumerate(rows):
        for column, text, look in row:
            for element in drawn(number, column, text, look):
                print(element)
    print("</g>\n</svg>")


main()
