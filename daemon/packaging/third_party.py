"""Prints what others wrote of the programs that are given away: each crate with its licence and the texts that come with it.

Run in the workspace. What only tests, benches and build scripts use is left out.
"""

import json
import pathlib
import subprocess

PACKAGES = ["polyport", "polyport-tools"]
# As crates name the files that have to go with copies.
TEXTS = ("licen", "copying", "notice", "unlicense")
RULE = "=" * 78


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked():
    """Name and version of every crate that the programs are linked with."""
    chosen = [word for package in PACKAGES for word in ("-p", package)]
    tree = run("cargo", "tree", "--locked", "-e", "normal", "--prefix", "none", "-f", "{p}", *chosen)
    return {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}


def texts(manifest):
    folder = pathlib.Path(manifest).parent
    found = (file for file in folder.iterdir() if file.is_file() and file.name.lower().startswith(TEXTS))
    return sorted(found, key=lambda file: file.name)


def main():
    host = next(line for line in run("rustc", "-vV").splitlines() if line.startswith("host: ")).split()[1]
    metadata = json.loads(run("cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host))
    wanted = linked()
    crates = [
        package
        for package in metadata["packages"]
        if package["source"] and (package["name"], "v" + package["version"]) in wanted
    ]
    crates.sort(key=lambda package: (package["name"], package["version"]))
    print("polyport is linked with these crates. Each line: name, version, licence, where it comes from.\n")
    print("std of Rust: MIT OR Apache-2.0 (https://github.com/rust-lang/rust)")
    for package in crates:
        where = package["repository"] or package["homepage"] or "crates.io"
        print(f"{package['name']} {package['version']}: {package['license'] or 'see its text'} ({where})")
    shown = {}
    for package in crates:
        for file in texts(package["manifest_path"]):
            text = file.read_text(encoding="utf-8", errors="replace").strip()
            shown.setdefault(text, []).append(f"{package['name']} {package['version']} ({file.name})")
    for text, owners in sorted(shown.items(), key=lambda item: item[1]):
        print(f"\n{RULE}\n{', '.join(owners)}\n{RULE}\n\n{text}")


if __name__ == "__main__":
    main()
