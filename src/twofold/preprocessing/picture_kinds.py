"""The type of a file that is not a supported picture, from its first bytes.

Messages name the type and never quote the file, whose content may be private.
"""

from __future__ import annotations

HEAD_BYTES = 32
"""Number of first bytes that `kind_of` needs."""

_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
_SIGNATURES = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x1f\x8b": "a gzip archive",
    b"8BPS": "a Photoshop file",
    b"\x00\x00\x01\x00": "an icon file",
    b"\xff\x0a": "a JPEG XL picture",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL picture",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 picture",
    b"\x1aE\xdf\xa3": "a Matroska or WebM video",
}
HEIC, AVIF = "a HEIC picture", "an AVIF picture"


def kind_of(head: bytes) -> str:
    """The type of a file, with its article; "" where it is not known.

    Args:
        head: the first `HEAD_BYTES` bytes.
    """
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[i : i + 4] for i in range(16, len(head) - 3, 4))}
        if brands & _AVIF:
            return AVIF
        return HEIC if brands & _HEIC else "a video"
    for beginning, kind in _SIGNATURES.items():
        if head.startswith(beginning):
            return kind
    return "a web page or XML" if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<") else ""
