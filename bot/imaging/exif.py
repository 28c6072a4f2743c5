"""The few EXIF fields we read and write (CIPA DC-008, the TIFF structure inside).

Reading is our own because the bytes are a stranger's: no offset is followed out of the block, no
directory twice, nothing is allocated by a count the file states.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from PIL import Image

_HEADER: Final = b"Exif\0\0"
_ORIENTATION: Final = 0x0112
_EXIF_IFD: Final = 0x8769
_MAKER_NOTE: Final = 0x927C
_USER_COMMENT: Final = 0x9286
_MAX_ENTRIES: Final = 512
_SHORT: Final = 3
_LONG: Final = 4

_UNICODE: Final = b"UNICODE\0"
_ASCII: Final = b"ASCII\0\0\0"
_OURS: Final = b"turbocord\0"


class Field(NamedTuple):
    """Where one value lies: its TIFF type, and start and size in bytes."""

    kind: int
    start: int
    size: int


Fields = dict[int, Field]


class ExifBlock:
    """One EXIF block, read lazily and without trust."""

    def __init__(self, data: bytes) -> None:
        self.data = data.removeprefix(_HEADER)
        order = {b"II*\0": "little", b"MM\0*": "big"}.get(self.data[:4])
        self.order: Literal["little", "big"] = "little" if order == "little" else "big"
        self.fields = self._directory(self._number(self.data[4:8])) if order else {}

    def _number(self, raw: bytes) -> int:
        return int.from_bytes(raw, self.order)

    def _directory(self, at: int) -> Fields:
        """Return where the fields of the directory at `at` lie; broken entries are left out."""
        fields: Fields = {}
        data = self.data
        count = min(self._number(data[at : at + 2]), _MAX_ENTRIES)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            raw = data[entry : entry + 12]
            if len(raw) < 12:
                break
            kind = self._number(raw[2:4])
            size = self._number(raw[4:8]) * {_SHORT: 2, _LONG: 4}.get(kind, 1)
            start = entry + 8 if size <= 4 else self._number(raw[8:12])
            if start + size <= len(data):
                fields.setdefault(self._number(raw[:2]), Field(kind, start, size))
        return fields

    def _value(self, field: Field) -> bytes:
        return self.data[field.start : field.start + field.size]

    @property
    def orientation(self) -> int:
        """How the picture is to be turned, 1 to 8; 1 (upright) where nothing valid is said."""
        field = self.fields.get(_ORIENTATION)
        if field is None or field.kind not in (_SHORT, _LONG):
            return 1
        number = self._number(self._value(field))
        return number if 1 <= number <= 8 else 1

    def _exif_field(self, tag: int) -> bytes:
        pointer = self.fields.get(_EXIF_IFD)
        if pointer is None or pointer.kind != _LONG or pointer.size != 4:
            return b""
        field = self._directory(self._number(self._value(pointer))).get(tag)
        return self._value(field) if field else b""

    def user_comment(self) -> str | None:
        """Return the user comment, where A1111-style programs keep the parameters."""
        value = self._exif_field(_USER_COMMENT)
        if value.startswith(_UNICODE):
            return _utf16(value.removeprefix(_UNICODE))
        if value.startswith(_ASCII):
            return value.removeprefix(_ASCII).decode("latin-1")
        return None

    def maker_note(self) -> bytes | None:
        """Return our own JSON from the maker note; None when the note is another maker's."""
        value = self._exif_field(_MAKER_NOTE)
        return value.removeprefix(_OURS) if value.startswith(_OURS) else None


def _utf16(raw: bytes) -> str:
    """Return UTF-16 text of either byte order.

    EXIF leaves the order to the block's own; A1111 writes big-endian into any block. In the text
    we look for, most characters are below U+0100, so the zero bytes tell.
    """
    big = raw[0::2].count(0) >= raw[1::2].count(0)
    return raw.decode("utf-16-be" if big else "utf-16-le", errors="replace")


def write_exif(*, parameters: str, own_json: str) -> bytes:
    """Return an EXIF block with `parameters` as user comment and our JSON as maker note."""
    exif = Image.Exif()
    fields = exif.get_ifd(_EXIF_IFD)
    fields[_USER_COMMENT] = _UNICODE + parameters.encode("utf-16-be", errors="replace")
    fields[_MAKER_NOTE] = _OURS + own_json.encode("ascii")
    return exif.tobytes()
