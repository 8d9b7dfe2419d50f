"""Are two builds of the image the same? What each holds, as one digest of its files.

    python -m tests.host.builds note FILE IMAGE OPTIONS      keeps what the image of this tree holds
    python -m tests.host.builds compare FILE IMAGE OPTIONS   exit code 1 if it is another now

Every file counts with its content, mode, owner and time. The times of folders do not: the classic
builder sets those of the folders that a COPY passes to the time of the build.
"""

import argparse
import json
import sys
from pathlib import Path

from harness.host.engine import Engine, connect
from harness.host.image import ImageOptions, find_image
from harness.host.leftovers import labels

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = "/opt/vace-bench /etc/passwd /exchange /cache"
SCRIPT = f"""set -e
find {FOLDERS} ! -type d -printf '%p %m %u %g %T@ %l\\n' | LC_ALL=C sort | sha256sum
find {FOLDERS} -type d -printf '%p %m %u %g\\n' | LC_ALL=C sort | sha256sum
find {FOLDERS} -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
cat /opt/vace-bench/install.json
"""
DIGESTS = ("files", "folders", "contents")


def fingerprint(engine: Engine, image: str) -> dict[str, object]:
    """Digests of an image's files, and its own record of its packages."""
    settings = {"image": image, "entrypoint": ["sh", "-c", SCRIPT], "labels": labels("builds")}
    container = engine.create(settings, {"network_mode": "none"})
    try:
        engine.start(container)
        text = b"".join(engine.follow(container, lambda: False)).decode()
        assert engine.wait(container, 60).exit_code == 0, text
    finally:
        engine.remove(container)
    *lines, report = text.split("\n", len(DIGESTS))
    digests = {name: line.split()[0] for name, line in zip(DIGESTS, lines, strict=True)}
    return {**digests, "packages": json.loads(report)}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("note", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--base-image", required=True)
    parser.add_argument("--wheelhouse", type=Path)
    parser.add_argument("--ca-bundle", type=Path)
    given = parser.parse_args()
    options = ImageOptions(
        base_image=given.base_image, wheelhouse=given.wheelhouse, ca_bundle=given.ca_bundle
    )
    engine = connect()
    image = find_image(engine, ROOT, options)
    if image is None:
        sys.exit("there is no image of this tree")
    now = fingerprint(engine, image.tag)
    if given.what == "note":
        given.file.write_text(json.dumps(now, indent=1))
        print(f"{image.tag}, {image.facts['image.id'].value}: contents {now['contents']}")
        return 0
    before = json.loads(given.file.read_text())
    different = [name for name in now if now[name] != before[name]]
    for name in different:
        print(f"{name}: {before[name]} before, {now[name]} now")
    print(f"{image.tag}, {image.facts['image.id'].value}: {'DIFFERENT' if different else 'same'}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
