"""Checks SBOMs by the schema of CycloneDX, and that they name what the programs are made of: sbom.py FILE..."""

import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main(paths):
    validator = JsonStrictValidator(SchemaVersion.V1_5)
    for path in paths:
        with open(path) as file:
            text = file.read()
        wrong = validator.validate_str(text)
        assert wrong is None, f"{path}: {wrong}"
        said = json.loads(text)
        names = {component["name"] for component in said["components"]}
        # Every program has its command line from it.
        assert "clap" in names and said["metadata"]["component"]["type"] == "application", path
        print(f"sbom: {path.rsplit('/', 1)[-1]}: {len(names)} components, as CycloneDX 1.5 has it")
    assert paths, "no SBOM was made"


if __name__ == "__main__":
    main(sys.argv[1:])
