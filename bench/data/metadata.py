"""PNG and TIFF files without their metadata, for those that Pillow cannot read because of it.

Of other kinds Pillow itself passes over what is broken. Tried only on files that cannot be read as they are.
"""

import struct
import zlib

PNG = b"\x89PNG\r\n\x1a\n"
# Tags of TIFF that say where the pixels are and how they are coded; all others are about the image.
TIFF_STRUCTURE = {
    256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 321, 322, 323, 324,
    325, 332, 334, 338, 339, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532,
}  # fmt: skip


def without_metadata(content: bytes) -> bytes | None:
    """The same image without its metadata but orientation; None for other kinds of files."""
    try:
        if content.startswith(PNG):
            return _png(content)
        if content[:4] in (b"II*\0", b"MM\0*"):
            return _tiff(content)
    except (struct.error, IndexError):
        pass  # cut off in the middle of what is read here
    return None


def _png(content: bytes) -> bytes:
    """Critical chunks, and orientation where its checksum is right."""
    kept, at = [PNG], len(PNG)
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        whole = content[at : at + 12 + length]
        critical = kind[:1].isupper()
        orientation = kind == b"eXIf" or (kind == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0\0"))
        if critical or (orientation and whole[-4:] == struct.pack(">I", zlib.crc32(kind + data))):
            kept.append(whole)
        at += len(whole)
    return b"".join(kept)


def _tiff(content: bytes) -> bytes:
    """The first image of the file, with a directory of TIFF_STRUCTURE alone written behind all else."""
    order = "<" if content[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, at)
    entries = [content[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    kept = [entry for entry in entries if struct.unpack_from(f"{order}H", entry)[0] in TIFF_STRUCTURE]
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + b"\0\0\0\0"
    padded = content + b"\0" * (len(content) % 2)
    return padded[:4] + struct.pack(f"{order}I", len(padded)) + padded[8:] + directory
