"""Strict JSON, and append-only files of JSON lines."""

import json
import math
import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, TypeVar

from tune_ad.atomic import write_atomically
from tune_ad.errors import UserError, cut, one_line
from tune_ad.storage.json_files import parsed

BLOCK = 2**16  # bytes read at a time from the end of a file
CONVERSION = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What the conversion of damaged plain data raises."""

Converted = TypeVar("Converted")


def jsonable(value: Any) -> Any:  # noqa: ANN401
    """Convert to strict JSON: NaN and infinity become None, tuples become lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | array):
        return [jsonable(item) for item in value]
    return value


def to_text(value: Any, indent: int | None = None) -> str:  # noqa: ANN401
    """Strict JSON text of plain data, of a record (by its `to_json`) or of another dataclass."""
    if isinstance(value, dict):
        data = value
    else:
        data = value.to_json() if hasattr(value, "to_json") else asdict(value)
    return json.dumps(jsonable(data), indent=indent, allow_nan=False)


class JsonLines:
    """A file of JSON lines to which lines are only appended.

    A crash can truncate the last line; it is ignored when reading and removed by the next append.
    Any other invalid line is an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mended = False

    def read(self) -> list[dict[str, Any]]:
        """The lines as a list, oldest first."""
        return list(self.lines())

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines, oldest first, read one at a time; none if there is no file.

        Raises:
            UserError: if a line other than a truncated last one is not a JSON object, or the file
                cannot be read.
        """
        if not os.path.lexists(self.path):
            return
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if line.endswith(b"\n"):
                        yield self._parsed(line, number)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be read ({error.strerror}); restore the file from a backup"
            ) from error

    @property
    def is_cut(self) -> bool:
        """Whether the last line is cut, as by a crash, so that it is not read."""
        if not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            return _end_of_lines(file) != file.seek(0, os.SEEK_END)

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            value = parsed(line)
        except ValueError as error:
            raise UserError(
                f"{self.path}, line {number} is not JSON ({cut(str(error))}); restore the file "
                "from a backup or remove that line"
            ) from error
        if not isinstance(value, dict):
            raise UserError(f"{self.path}, line {number} is not a JSON object; remove that line")
        return value

    def converted(self, convert: Callable[[dict[str, Any]], Converted]) -> list[Converted]:
        """What a function makes of each line, oldest first.

        Raises:
            UserError: naming the line, if it is not a JSON object or the function refuses it.
        """
        values = []
        for number, line in enumerate(self.lines(), 1):
            try:
                values.append(convert(line))
            except UserError as error:
                raise UserError(f"{self.path}, line {number}: {error}") from error
            except CONVERSION as error:
                raise UserError(
                    f"{self.path}, line {number} is damaged ({one_line(error)}); restore the file "
                    "from a backup or remove that line"
                ) from error
        return values

    def append(self, value: Any) -> None:  # noqa: ANN401
        """Append a line and force it to disk (fsync)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._mended:
            self._remove_cut_line()
        self._mended = False  # until the whole line is written
        with self.path.open("ab") as file:
            file.write(to_text(value).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._mended = True

    def rewrite(self, values: Sequence[Any]) -> None:
        """Replace all lines at once."""
        write_atomically(self.path, "".join(f"{to_text(value)}\n" for value in values))

    def _remove_cut_line(self) -> None:
        if self.path.exists():
            with self.path.open("rb+") as file:
                file.truncate(_end_of_lines(file))


def _end_of_lines(file: IO[bytes]) -> int:
    """The position after the last newline, searched from the end; 0 if there is none."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - BLOCK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
