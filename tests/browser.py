"""Pages in a headless Chromium, where there is one: what they look like, what they measure."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
FLAGS += ("--disable-background-networking", "--hide-scrollbars")

MEASURE = """
<script>
const outside = [];
for (const svg of document.querySelectorAll("svg")) {
  const all = svg.getBoundingClientRect();
  for (const text of svg.querySelectorAll("text")) {
    const box = text.getBoundingClientRect();
    const over = Math.max(all.left - box.left, box.right - all.right, all.top - box.top,
      box.bottom - all.bottom);
    if (over > 3) outside.push(text.textContent);
  }
}
const letters = [...document.querySelectorAll("svg text")].map(
  (text) => text.getBoundingClientRect().height).filter((height) => height > 0);
document.documentElement.dataset.measured = JSON.stringify({
  width: document.documentElement.scrollWidth, window: window.innerWidth, outside,
  scrolled: [...document.querySelectorAll(".wide")].filter(
    (box) => box.scrollWidth > box.clientWidth).length,
  svgs: document.querySelectorAll("svg").length, smallest: Math.min(...letters, 99),
});
</script>
"""

needed = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium; Debian: chromium")


def _run(place: Path, *arguments: str) -> str:
    profile = place / "profile"  # a new one each: a page leaves nothing behind
    shutil.rmtree(profile, ignore_errors=True)
    command = [str(PROGRAM), *FLAGS, f"--user-data-dir={profile}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def measured(page: str, place: Path, width: int) -> dict:
    """Return a page's width, texts outside their drawing, tables wider than their box, and more."""
    file = place / "measured.html"
    file.write_text(page.replace("</body>", f"{MEASURE}</body>"))
    size = f"--window-size={width},2000"
    shown = _run(place, size, "--dump-dom", file.as_uri())
    return json.loads(unescape(re.search(r'data-measured="([^"]*)"', shown)[1]))


def pixels(page: str, place: Path, width: int, *, dark: bool = False) -> np.ndarray:
    """Return what a window of a page shows, uint8 (height, width, blue-green-red)."""
    file, shot = place / "shown.html", place / "shown.png"
    file.write_text(page)
    scheme = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    size = f"--window-size={width},2400"
    _run(place, *scheme, size, f"--screenshot={shot}", file.as_uri())
    return cv2.imread(str(shot))
