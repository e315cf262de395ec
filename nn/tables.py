"""`DataTable`: named columns of texts, read from a CSV file; what is wrong with the file is said with its line."""

import csv
import difflib
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nn.checks import plural, shown

MOST_BYTES = 16 * 2**20
MOST_CELLS = 2_000_000
"""Above these no table is read: each number of it goes through a network of single `Value`s in every epoch."""

GAPS = {"", "na", "n/a", "#n/a", "<na>", "nan"}
"""What stands for a number that is not known, in lower case."""


@dataclass(frozen=True)
class DataTable:
    """Rows of texts under the names of their columns, with the place of each row for messages."""

    name: str
    """Of the file or of the data set."""
    columns: list[str]
    rows: list[list[str]]
    places: Sequence[int]
    """The line of each row in its file, or its number in the data set."""
    unit: str = "line"
    has_header: bool = True

    def place(self, row: int) -> str:
        """`iris.csv, line 7`."""
        return f"{self.name}, {self.unit} {self.places[row]}"

    def column(self, name: str) -> list[str]:
        """The texts of a column, which must be there."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def check_columns(self, names: Iterable[str], what: str) -> None:
        """Raise ValueError, with a near name, for the first that is no column."""
        for name in names:
            if name not in self.columns:
                raise ValueError(
                    f"{what}: expected a column of {self.name}, {listed(self.columns)}, got {shown(name)}"
                    f"{_advice(name, self.columns)}"
                )

    def number(self, row: int, column: str, text: str) -> float:
        """The number in a cell. Raises ValueError for a gap, a text, and what is not within the floats."""
        number = as_number_in_text(text)
        if number is not None and math.isfinite(number):
            return number
        where = f"{self.place(row)}, column {shown(column)}"
        if is_gap(text):
            raise ValueError(f"{where}: expected a number, got a gap, {shown(text)}: fill it, or leave the row out")
        if number is not None:
            raise ValueError(f"{where}: expected a finite number, got {shown(text)}")
        comma = ", with a decimal point" if re.fullmatch(r"[+-]?\d+,\d+", text) else ""
        raise ValueError(f"{where}: expected a number{comma}, got {shown(text)}")


def is_gap(text: str) -> bool:
    """Whether a cell holds nothing, or one of the usual words for it."""
    return text.lower() in GAPS


_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE)


def as_number_in_text(text: str) -> float | None:
    """The number that a text is, perhaps infinite; None for another text (float() would take 1_000 too)."""
    return float(text) if _NUMBER.fullmatch(text) else None


def listed(names: Sequence[str], most: int = 8) -> str:
    """`'a', 'b', …`."""
    return ", ".join(map(shown, names[:most])) + (", …" if len(names) > most else "")


_LONGEST_COMPARED = 60
"""Characters: difflib's time grows with the product of two lengths."""


def _advice(name: str, columns: Sequence[str]) -> str:
    by_lower = {column.lower(): column for column in columns[:1000] if len(column) <= _LONGEST_COMPARED}
    near = difflib.get_close_matches(name.lower()[: _LONGEST_COMPARED + 1], by_lower, n=1)
    return f": did you mean {shown(by_lower[near[0]])}?" if near else ""


def is_printable(text: str) -> bool:
    """Whether it holds no control characters, which play tricks on a terminal, and no halves of characters."""
    return text.isprintable() or not any(unicodedata.category(each) in ("Cc", "Cs") for each in text)


# CSV


def read_csv(path: Path) -> DataTable:
    """Read a CSV file: UTF-8, columns parted by commas, semicolons or tabs, quotes as RFC 4180 has them.

    The first line names the columns, unless it looks like those below it: they are then named 1, 2, ….

    Raises ValueError, in one line with the file and the line, for an empty or too large file, no rows, rows of
    unequal length, a name that is missing or there twice, and what is no such file; OSError where it cannot be read.
    """
    name = path.name
    text = _decoded(name, _read_bytes(path))
    records = _read_records(name, text)
    if not records:
        raise ValueError(f"{name}: expected a table, got an empty file")
    (first_line, first), *rest = records
    for line, record in rest:
        if len(record) != len(first):
            raise ValueError(f"{name}, line {line}: expected {plural(len(first), 'cell')}, as above, got {len(record)}")
    has_header = _is_header(first, [record for _, record in rest[:50]])
    if not has_header:
        columns, rest = [str(place) for place in range(1, len(first) + 1)], records
    else:
        columns = _check_names(name, first_line, first)
    if not rest:
        raise ValueError(f"{name}: expected rows below the line with the names, got none")
    return DataTable(name, columns, [row for _, row in rest], [line for line, _ in rest], has_header=has_header)


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{path}: expected a CSV file, got a folder")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)  # and no more, of what may never end
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"{path.name}: expected at most {MOST_BYTES // 2**20} MiB, got more: take fewer of its rows or columns"
        )
    return data


def _decoded(name: str, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{name}: expected text in UTF-8, got UTF-16: save it as CSV in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{name}, line {line}: expected text in UTF-8, got the byte 0x{data[error.start]:02x}: save it as UTF-8"
        ) from None


def _read_records(name: str, text: str) -> list[tuple[int, list[str]]]:
    """The lines that are not blank, with their numbers, in cells without the spaces around them."""
    records = []
    cells = 0
    for line, record in _records(name, text, _separator(text)):
        cells += len(record)
        if cells > MOST_CELLS:
            raise ValueError(
                f"{name}: expected at most {MOST_CELLS:,} cells, got more: take fewer of its rows or columns"
            )
        records.append((line, [cell.strip() for cell in record]))
    return records


def _records(name: str, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    line = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{name}, line {line}: expected cells as in CSV: {error}") from None
        if len(record) > 1 or any(cell.strip() for cell in record):
            yield line, record
        line = reader.line_num + 1
        if line > MOST_CELLS:  # of blank lines, that is
            raise ValueError(f"{name}: expected at most {MOST_CELLS:,} lines, got more")


def _separator(text: str) -> str:
    """Of those that part the first lines into equally many cells, more than one, the one that makes the most.

    csv.Sniffer guesses too much: any character that comes equally often may be its separator.
    """
    found = {}
    for separator in (",", ";", "\t"):
        lengths = []
        try:
            for _, record in _records("", text[:100_000], separator):
                lengths.append(len(record))
                if len(lengths) == 20:
                    break
        except ValueError:  # said when the whole of it is read
            pass
        found[separator] = (len(set(lengths)) == 1 and lengths[0] > 1, lengths[0] if lengths else 0)
    return max(found, key=found.__getitem__)


def _is_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether no cell is a number, or one is a text above numbers."""
    if not any(map(_is_number, first)):
        return True
    for place, text in enumerate(first):
        below = [row[place] for row in rest if not is_gap(row[place])]
        if not _is_number(text) and not is_gap(text) and below and all(map(_is_number, below)):
            return True
    return False


def _is_number(text: str) -> bool:
    return as_number_in_text(text) is not None


def _check_names(name: str, line: int, columns: list[str]) -> list[str]:
    seen = set()
    for place, column in enumerate(columns, start=1):
        if not column:
            raise ValueError(
                f"{name}, line {line}: expected a name for each column, got none for number {place}"
                " (an index of pandas? write it with index=False)"
            )
        if column in seen:
            raise ValueError(f"{name}, line {line}: expected every column once, got {shown(column)} twice")
        if not is_printable(column):
            raise ValueError(f"{name}, line {line}: expected names of text, got a control character in {shown(column)}")
        seen.add(column)
    return columns
