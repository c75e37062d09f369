"""Tables of briefs, a row each: comma-, semicolon- or tab-separated text, and Excel workbooks."""

import csv
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice, repeat
from typing import Any

from video_pipeline.briefs.bounds import MAX_FIELDS, MAX_UNPACKED_BYTES, Budget, NotRead

_LIST_COLUMNS = ("platforms", "broll", "bible", "characters")
_NUMBER_COLUMNS = ("duration_s", "visual_complexity")
# What a sheet has in every row of a column, briefs or not: boxes, drop-down lists, numbers that were filled down.
_FILLED_DOWN = ("platforms", "quality", "visual_complexity", "native_audio", "orientation", "duration_s", "seed")
# A box that nobody has ticked, in the languages of the spreadsheets that write it as a word.
_UNTICKED = ("false", "falsch", "faux", "falso", "onwaar", "fałsz", "ложь", "0")
_SEP = re.compile(r'"?sep=(.)"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_DELIMITERS = ",;\t"
# Of a workbook's parts beside its sheets. Its library makes a hundred times as much of styles in memory.
MAX_PART_BYTES = 2_000_000
_NO_WORKBOOK = "it is no workbook that can be read; save it in Excel as .xlsx once more"
_NO_RESULT = "\0formula"
# Before what Excel itself calls an error.
_ERROR = "\0error"
# As people see them in the languages of their spreadsheets, and as a .csv keeps them.
_IN_LANGUAGES = """
#N/A #REF! #NAME? #VALUE! #DIV/0! #NUM! #NULL! #SPILL! #CALC! #GETTING_DATA #FIELD! #BLOCKED! #CONNECT! #UNKNOWN!
#BUSY! #EXTERNAL! #PYTHON! #ERROR! #NV #BEZUG! #WERT! #ZAHL! #ÜBERLAUF! #KALK! #NOM? #VALEUR! #NOMBRE! #NUL!
#PROPAGATION! #CALCUL! #¡REF! #¿NOMBRE? #¡VALOR! #¡DIV/0! #¡NUM! #¡NULO! #N/D #RIF! #NOME? #VALORE! #NULLO! #VALOR!
#NÚM! #NULO! #N/B #VERW! #NAAM? #WAARDE! #DEEL/0! #GETAL! #LEEG! #ADR! #NAZWA? #ARG! #DZIEL/0! #LICZBA! #ZERO!
#Н/Д #ССЫЛКА! #ИМЯ? #ЗНАЧ! #ДЕЛ/0! #ЧИСЛО! #ПУСТО! #I/T #REFERENCE! #NAVN? #VÆRDI! #VERDI! #DIVISION/0! #SAKNAS!
#REFERENS! #NAMN? #VÄRDEFEL! #OGILTIGT! #SKÄRNING! #YOK #BAŞV! #AD? #DEĞER! #SAYI/0! #SAYI! #BOŞ!
"""
_ERRORS = frozenset(_IN_LANGUAGES.split())
# What LibreOffice shows, and what Excel keeps in a .csv of a column that is too narrow for its dates.
_OTHER_ERRORS = re.compile(r"(?:Err|Fehler|Erreur):\d{3}|#{3,}")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")

Row = tuple[str, dict[str, Any], list[str]]
"""Where the row stands, the document that it holds, and what is wrong with it beside that."""


def read_separated(text: str, budget: Budget, *, columns: frozenset[str], usual: str) -> list[Row]:
    """The rows of a .csv or .tsv. Raises NotRead.

    What separates the cells is what a `sep=` line says, else what makes the most of `columns` out of the first row,
    the `usual` one where several do.
    """
    said = _SEP.match(text)
    body = text[said.end() :] if said else text
    delimiter = said[1] if said else _delimiter(body, columns, usual)
    try:
        rows = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True)
        return list(_documents(_counted(rows, budget), budget, columns, comma=delimiter != ",", sheet=""))
    except csv.Error as error:
        raise NotRead(str(error)) from None


def read_workbook(data: bytes, budget: Budget, *, columns: frozenset[str]) -> list[Row]:
    """The rows of an .xlsx, of all sheets that have a column `brief_id`; the others are told of. Raises NotRead."""
    holds_formulas = _check_parts(data)
    # A tenth of a second of imports for what few inboxes hold.
    import openpyxl

    def opened(*, results: bool) -> Any:
        return openpyxl.load_workbook(io.BytesIO(data), read_only=True, keep_links=False, data_only=results)

    try:
        with warnings.catch_warnings():
            # Of pictures, drop-down lists and styles that it does not know.
            warnings.simplefilter("ignore")
            sheets = opened(results=True).worksheets
            formulas = opened(results=False).worksheets if holds_formulas else [None] * len(sheets)
            found: list[Row] = []
            for sheet, typed in zip(sheets, formulas, strict=True):
                name = " ".join(str(sheet.title).split())[:40] if len(sheets) > 1 else ""
                found += _sheet(_counted(_cells(sheet, typed, budget), budget), budget, columns, name)
            return found
    except NotRead:
        raise
    # XML that anybody may have written, read by a library that raises whatever it stumbles over.
    except Exception:
        raise NotRead(_NO_WORKBOOK) from None


def _check_parts(data: bytes) -> bool:
    """Whether any sheet of a workbook holds a formula. Raises NotRead for what unpacks to too much, or to nothing."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            # Nothing is unpacked beyond the sizes that stand here.
            parts = package.infolist()
            sheets = [part for part in parts if "worksheets/" in part.filename]
            beside = [part for part in parts if part not in sheets and part.filename.endswith((".xml", ".rels"))]
            too_much = sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES
            if too_much or any(part.file_size > MAX_PART_BYTES for part in beside):
                raise NotRead("it unpacks to more than a workbook of briefs does")
            return any(b"<f" in package.read(part) for part in sheets)
    except NotRead:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError):
        raise NotRead(_NO_WORKBOOK) from None


def _cells(sheet: Any, typed: Any | None, budget: Budget) -> Iterator[list[str]]:
    """The rows of a sheet as text; `typed` is the same sheet with its formulas.

    Excel keeps what a formula came to, other programs may not.
    """
    # The size that a sheet says of itself may be any.
    sheet.reset_dimensions()
    formulas: Iterator[Sequence[Any]] = repeat(())
    if typed is not None:
        typed.reset_dimensions()
        formulas = typed.iter_rows(values_only=True)
    for cells, said in zip(sheet.iter_rows(), formulas, strict=False):
        budget.be_quick()
        row = [f"{_ERROR}{cell.value}" if cell.data_type == "e" else _text(cell.value) for cell in cells]
        for at, formula in enumerate(said[: len(row)]):
            if not row[at] and isinstance(formula, str) and formula.startswith("="):
                row[at] = _NO_RESULT
        yield row


def _text(value: Any) -> str:
    """A cell as it would stand in a .csv."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return _unescaped(str(value))


def _unescaped(text: str) -> str:
    """Excel writes what XML cannot hold, such as the carriage return of a text that was pasted, as `_x000D_`."""
    if "_x" not in text:
        return text
    units = _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), text)
    # An emoji may come as two.
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _sheet(rows: Iterator[list[str]], budget: Budget, columns: frozenset[str], name: str) -> list[Row]:
    found = list(_documents(rows, budget, columns, comma=False, sheet=name))
    if name and found and not any("brief_id" in document for _, document, _ in found):
        return [(f"#{name}", {}, ["the sheet has no column brief_id, so nothing is read from it"])]
    return found


def _counted(rows: Iterable[Sequence[str]], budget: Budget) -> Iterator[list[str]]:
    for row in rows:
        budget.be_quick()
        # A sheet may say of itself that it is thousands of columns wide.
        filled = [cell for cell in row if cell]
        budget.spend(len(filled), sum(map(len, filled)))
        yield list(row)


def _delimiter(text: str, columns: frozenset[str], usual: str) -> str:
    first = next((line for line in islice(io.StringIO(text), 1_000) if line.strip(f" {_DELIMITERS}\r\n")), "")

    def columns_by(delimiter: str) -> int:
        return sum(_column(cell.strip("\r\n").strip(' "'), columns) in columns for cell in first.split(delimiter))

    return max(usual + _DELIMITERS, key=columns_by)


def _documents(
    rows: Iterator[list[str]], budget: Budget, columns: frozenset[str], *, comma: bool, sheet: str
) -> Iterator[Row]:
    """Rows as documents: empty rows are nothing, empty cells absent; lists are separated by `|`.

    `comma`: numbers may be written with one. `sheet` is named where there are several.
    """
    header = next((row for row in rows if any(cell.strip() for cell in row)), None)
    if header is None:
        return
    names = told_apart([_column(cell, columns) for cell in header])
    while names and not names[-1]:
        names.pop()
    if len(names) > MAX_FIELDS:
        raise NotRead(f"it has {len(names):,} columns, more than {MAX_FIELDS}")
    rows_without, filled_down = 0, set[str]()
    for number, cells in enumerate(rows, start=1):
        document: dict[str, Any] = {}
        over: list[str] = []
        wrong: list[str] = []
        for at, cell in enumerate(cells):
            text = cell.strip()
            if not text:
                continue
            name = names[at] if at < len(names) else ""
            if text == _NO_RESULT:
                wrong.append(f"{name}: the cell is a formula without a result; save the workbook in Excel")
            elif name and (error := _error(text)):
                wrong.append(
                    f"{name}: the cell holds the spreadsheet's error {error}; correct it there and save again"
                )
            elif name:
                document[name] = _value(name, text, comma)
            else:
                over.append(text.removeprefix(_ERROR))
        if over:
            document["cells without a column"] = over
        if not wrong and all(str(value).lower() in _UNTICKED for value in document.values()):
            continue
        if not wrong and "brief_id" in names and all(name in _FILLED_DOWN for name in document):
            rows_without += 1
            filled_down.update(document)
            continue
        budget.documents()
        yield f"#{sheet}!{number}" if sheet else f"#{number}", document, wrong
    if rows_without:
        said = f"{rows_without:,} rows hold nothing but {', '.join(sorted(filled_down))}, and no text of a brief"
        yield f"#{sheet}" if sheet else "", {}, [said]


def _error(text: str) -> str:
    """The error of a spreadsheet that a cell holds instead of a value; empty for none."""
    known = text.startswith(_ERROR) or text in _ERRORS or _OTHER_ERRORS.fullmatch(text)
    return text.removeprefix(_ERROR)[:40] if known else ""


def _column(cell: str, columns: frozenset[str]) -> str:
    name = cell.strip()
    return name.lower() if name.lower() in columns else name


def _value(name: str, cell: str, comma: bool) -> Any:
    if name in _LIST_COLUMNS:
        return [part.strip() for part in cell.split("|")]
    if comma and name in _NUMBER_COLUMNS and _DECIMAL_COMMA.fullmatch(cell):
        return cell.replace(",", ".")
    return cell


def told_apart(names: Sequence[str]) -> list[str]:
    """Names of fields where one that is given again is another name, which no brief has."""
    seen: set[str] = set()
    apart: list[str] = []
    for name in names:
        apart.append(f"{name} a second time" if name and name in seen else name)
        seen.add(name)
    return apart
