#!/usr/bin/env python3
"""Gathers the pages that SUMMARY.md beside this file names, has mdbook make a book of them, and follows every link of it.

python3 daemon/docs/book/build.py [--to DIR]      needs mdbook 0.5 (cargo install --locked mdbook)

Pages keep their places, so that their links to each other stay as they are. A file or folder that a page links to and that is no page
is copied, a folder with a page that lists it. What SUMMARY.md has forgotten, and a link that leads nowhere in the book, are errors.
"""

import argparse
import html.parser
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[2]
LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--to", type=Path, default=TOP / "target/book", help="where the book is made [target/book]")
    to = args.parse_args().to
    summary = (HERE / "SUMMARY.md").read_text()
    pages = [Path(path) for _, path, _ in LINK.findall(summary)]
    source, made = to / "src", to / "html"
    for folder in (source, made):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    shutil.copy(HERE / "book.toml", to / "book.toml")
    (source / "SUMMARY.md").write_text(summary)
    for page in pages:
        gather(page, pages, source)
    subprocess.run(["mdbook", "build", "--dest-dir", str(made.resolve()), str(to)], check=True)
    if len(list(made.rglob("*.html"))) < len(pages):
        sys.exit(f"{made}: fewer pages than {HERE / 'SUMMARY.md'} names")
    broken = broken_links(made.resolve())
    if broken:
        sys.exit("links that lead nowhere:\n" + "\n".join(broken))
    print(f"{len(pages)} pages: {made / 'index.html'}")


def gather(page, pages, source):
    """Copies a page, and what it links to besides pages."""
    place = source / page
    place.parent.mkdir(parents=True, exist_ok=True)

    def followed(link):
        target, hash, anchor = link[2].partition("#")
        if not target or urllib.parse.urlparse(target).scheme:
            return link[0]
        path = Path(os.path.normpath(page.parent / target))
        there = TOP / path
        if path in pages:
            # mdbook makes an index of a README, and leaves links to it as they were.
            made = re.sub(r"(^|/)README\.md$", r"\1index.html", target)
            return link[1] + made + hash + anchor + link[3]
        if there.is_dir():
            list_folder(path, source)
            return f"{link[1]}{target.rstrip('/')}/index.html{link[3]}"
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        # A page of text that is none of the book's would be made one.
        copy = source / (path.with_suffix(".md.txt") if path.suffix == ".md" else path)
        shutil.copy(there, copy)
        return link[1] + target + (".txt" if path.suffix == ".md" else "") + link[3]

    text = (TOP / page).read_text()
    # Code is as it is.
    parts = re.split(r"(^```.*?^```|`[^`\n]+`)", text, flags=re.S | re.M)
    parts[::2] = [LINK.sub(followed, part) for part in parts[::2]]
    place.write_text("".join(parts))


def list_folder(path, source):
    """A folder with its files, and a page that lists them."""
    tracked = subprocess.run(["git", "ls-files", "--", str(path)], cwd=TOP, check=True, capture_output=True, text=True)
    files = [Path(line) for line in tracked.stdout.splitlines()]
    for file in files:
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / file, source / file)
    names = "\n".join(f'<li><a href="{file.relative_to(path)}">{file.relative_to(path)}</a></li>' for file in files)
    (source / path / "index.html").write_text(f"<!DOCTYPE html><title>{path}</title><h1>{path}</h1><ul>\n{names}\n</ul>\n")


class Links(html.parser.HTMLParser):
    """The links and anchors of a page."""

    def __init__(self):
        super().__init__()
        self.links, self.anchors = [], set()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.update(value for name, value in attributes.items() if name in ("id", "name") and value)
        for name in ("href", "src"):
            if attributes.get(name) and tag in ("a", "img", "script", "link"):
                self.links.append(attributes[name])


def broken_links(made):
    """Links of the book that lead to no file or no anchor of it."""
    pages = {}
    for path in made.rglob("*.html"):
        pages[path.resolve()] = links = Links()
        links.feed(path.read_text())
    broken = []
    for path, page in pages.items():
        # The page for what is not found stands at any depth.
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urllib.parse.urlparse(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            anchor = urllib.parse.unquote(parts.fragment)
            if not target.is_file() and not (target / "index.html").is_file():
                broken.append(f"{path.relative_to(made)}: {link}")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                broken.append(f"{path.relative_to(made)}: {link}: no such anchor")
    return broken


if __name__ == "__main__":
    main()
