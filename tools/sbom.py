"""Software bill of materials: the runtime requirements with versions, licences and hashes (CycloneDX 1.6).

    python tools/sbom.py --out sbom.json

Versions and hashes are those of requirements/runtime.txt, licences those that the installed packages
state. Equal requirements give equal bytes.
"""

import argparse
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements" / "runtime.txt"
#: What packages write -> SPDX. An entry of None is no statement.
SPDX = {
    "apache 2.0": "Apache-2.0", "apache-2.0": "Apache-2.0", "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0", "apache license, version 2.0": "Apache-2.0", "apache": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "mit": "MIT", "mit license": "MIT", "the mit license (mit)": "MIT", "mit-cmu": "MIT-CMU",
    "bsd": "BSD-3-Clause", "bsd license": "BSD-3-Clause", "new bsd": "BSD-3-Clause", "bsd-3-clause": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "modified bsd license": "BSD-3-Clause",
    "bsd-2-clause": "BSD-2-Clause", "simplified bsd": "BSD-2-Clause",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "mpl-2.0": "MPL-2.0",
    "python software foundation license": "PSF-2.0", "psf": "PSF-2.0", "psf-2.0": "PSF-2.0",
    "isc license (iscl)": "ISC", "isc": "ISC", "the unlicense (unlicense)": "Unlicense",
    "historical permission notice and disclaimer (hpnd)": "HPND", "zpl-2.1": "ZPL-2.1",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only", "dual license": None, "unknown": None,
    "osi approved": None,
}  # fmt: skip


TEXTS = {
    "Permission is hereby granted, free of charge, to any person obtaining a copy": "MIT",
    "Neither the name of": "BSD-3-Clause",
    "Apache License Version 2.0": "Apache-2.0",
}


@dataclass(frozen=True)
class Requirement:
    """One pinned requirement with the hashes of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]


def read_requirements(path: Path) -> Iterator[Requirement]:
    """Yield the pins of a requirements file."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        pin = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line)
        if pin:
            yield Requirement(
                pin[1], pin[2], tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
            )


def licence_of(name: str) -> str | None:
    """Return an installed package's licence as an SPDX expression; None if it is not installed or says none.

    Its SPDX expression comes first, then a short text, then its classifiers.
    """
    try:
        about: Mapping[str, str] = metadata.metadata(name)  # type: ignore[assignment]
    except metadata.PackageNotFoundError:
        return None
    if "License-Expression" in about:
        return about["License-Expression"]
    stated = [about["License"]] if "License" in about else []
    classifiers = about.get_all("Classifier") or []  # type: ignore[attr-defined]
    stated += [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")]
    known = [SPDX.get(one.strip().lower()) for one in stated if len(one) < 80]
    found = [one for one in dict.fromkeys(known) if one]
    if found:
        return found[0]
    if stated and re.fullmatch(r"[\w.+-]+( (AND|OR|WITH) [\w.+-]+)*", stated[0]):
        return stated[0]
    head = stated[0].strip().splitlines()[:3] if stated else []
    short = next((SPDX[one.strip().lower()] for one in head if SPDX.get(one.strip().lower())), None)
    return short or _from_licence_file(name)


def _from_licence_file(name: str) -> str | None:
    """Return the licence whose text a package's own file holds."""
    for path in metadata.files(name) or ():
        if path.name.upper().startswith(("LICENSE", "LICENCE")):
            text = " ".join(path.read_text(encoding="utf-8").split())
            return next((spdx for words, spdx in TEXTS.items() if words in text), None)
    return None


def bill(requirements: list[Requirement]) -> dict[str, object]:
    """Return the bill of materials as CycloneDX."""
    components = []
    for one in requirements:
        licence = licence_of(one.name)
        component: dict[str, object] = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{one.name.lower()}@{one.version}",
            "name": one.name,
            "version": one.version,
            "purl": f"pkg:pypi/{one.name.lower()}@{one.version}",
        }
        if licence is not None:
            component["licenses"] = [{"expression": licence}]
        if one.hashes:
            component["externalReferences"] = [
                {
                    "type": "distribution",
                    "url": f"pkg:pypi/{one.name.lower()}@{one.version}",
                    "hashes": [{"alg": "SHA-256", "content": value} for value in one.hashes],
                }
            ]
        components.append(component)
    version = re.search(r'"(.+)"', (ROOT / "src/errdetect/version.py").read_text())
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components, sort_keys=True))
    about = {"type": "application", "name": "errdetect", "version": version[1] if version else ""}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": about | {"licenses": [{"expression": "Apache-2.0"}]}},
        "components": components,
    }


def main() -> None:
    """Write the bill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    found = bill(list(read_requirements(REQUIREMENTS)))
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: {len(found['components'])} components")


if __name__ == "__main__":
    main()
