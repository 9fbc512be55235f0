"""The first bytes of a file → the name of its format, of those that are not read here."""

from __future__ import annotations

_BRANDS = {
    b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "HEIC",
    b"hevx": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"crx ": "camera raw (CR3)",
    b"jp2 ": "JPEG 2000", b"qt  ": "film (QuickTime)",
}  # fmt: skip

_BEGINNINGS = (
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
    (b"\x01\xda", "SGI"),
    (b"DDS ", "DDS"),
    (b"8BPS", "Photoshop (PSD)"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\x0a\x05\x01", "PCX"),
    (b"icns", "icon (ICNS)"),
    (b"<svg", "SVG"),
    (b"SIMPLE  =", "FITS"),
    (b"\x89HDF", "HDF5"),
    (b"\x93NUMPY", "NumPy array"),
    (b"PK\x03\x04", "zip archive"),
    (b"\x1f\x8b", "gzip"),
    (b"gimp xcf", "GIMP (XCF)"),
    (b"P1", "text PBM"),
    (b"P2", "text PGM"),
    (b"P3", "text PPM"),
    (b"P7\n", "PAM"),
    (b"PF\n", "PFM"),
    (b"Pf\n", "PFM"),
)
_TEXT = (b"P1", b"P2", b"P3")


def name(start: bytes) -> str:
    """Return the name of the format that bytes begin with; "" where it is not known.

    Example:
        >>> name(b"%PDF-1.7")
        'PDF'
    """
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12], "film or picture of another coding (ISO media)")
    for begin, found in _BEGINNINGS:
        if start.startswith(begin) and (begin not in _TEXT or start[2:3].isspace()):
            return found
    if start[:4] in (b"\0\0\1\0", b"\0\0\2\0") and start[4:6] != b"\0\0":  # else a TGA
        return "icon (ICO)" if start[2] == 1 else "cursor (CUR)"
    return ""
