"""Take README's pictures of a report: `errdetect demo OUT`, then `python tools/make_pictures.py OUT`.

Needs Chromium on PATH; see tests/tools/chromium.sh.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).resolve().parent.parent / "docs/images"
#: File name -> the report's page and the height to keep, in pixels.
PICTURES = {"report.png": ("", 760), "queue.png": ("queue", 850)}
COLOURS = 128  # flat areas and text: small files


def main(demo: Path) -> None:
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    )
    page = (demo / "report/report.html").resolve().as_uri()
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, (anchor, height) in PICTURES.items():
            shot = Path(folder) / name
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            size = [f"--window-size=1200,{height}", f"--screenshot={shot}"]
            subprocess.run(
                [browser, *flags, *size, f"{page}{anchor and '#' + anchor}"],
                check=True,
                capture_output=True,
            )
            picture = (
                Image.open(shot)
                .convert("RGB")
                .quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            )
            picture.save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
