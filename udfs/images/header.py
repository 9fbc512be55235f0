"""What an encoded image says about itself."""

from __future__ import annotations

from msgspec import Struct


class Header(Struct, frozen=True):
    """What the first bytes say; sizes are as stored, before any orientation."""

    format: str  # "" where it is none of those read here
    width: int | None = None  # None: not found
    height: int | None = None
    whole: bool = True  # False: the end that the format prescribes is not there
    alpha: bool = False  # there may be transparent pixels
    orientation: int = 1  # EXIF's number, 1 to 8; 1 also where the decoder itself turns the image
    refused: str = ""  # the name of a kind that is not read; "": it is read
    lacks: str = ""  # what is missing where the image is not whole
    bits: int = 8  # of a channel; of a BMP, of a pixel
    layout: str = ""  # of a BMP's pixels, '555', '565' or '888'
    key: tuple[int, ...] | None = None  # the colour that is transparent, of a PNG
    premultiplied: bool = True  # colours are handed out multiplied by alpha; of a TIFF only
    pixel_bytes: int = 6  # that decoding holds at once for a pixel; measured with OpenCV 5.0
    kept_bytes: int = 0  # of these, what a smaller DCT scale does not save: coefficients
    changed: bool = False  # earlier versions read other pixels, or did not refuse it
    mode: str = ""  # of its pixels as stored, by Pillow's names: 'L', 'RGB', 'P' …; "": not known

    @property
    def refusal(self) -> str:
        """Why a kind that is refused is not read, and what to do."""
        return f"{self.refused} is not read here: convert it to PNG or JPEG"

    def takes(self, reduction: int = 1) -> int:
        """Return the bytes that decoding takes.

        Args:
            reduction: sides come out at 1 / `reduction` of theirs; of a JPEG.
        """
        reduced = self.pixels * (self.pixel_bytes - self.kept_bytes) // reduction**2
        return self.pixels * self.kept_bytes + reduced

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width once the image is turned as its orientation says."""
        height, width = self.height or 0, self.width or 0
        return (width, height) if self.orientation >= 5 else (height, width)

    @property
    def pixels(self) -> int:
        """How many pixels there are."""
        return (self.width or 0) * (self.height or 0)
