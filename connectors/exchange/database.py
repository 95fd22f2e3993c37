"""A database's table or query, read in one ordered stream, so that a run that was interrupted goes on where it was."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from connectors.exchange.forms import Form
from connectors.exchange.source import Piece, SourceError, as_text

if TYPE_CHECKING:
    from sqlalchemy import Engine, Select

_ROWS: Final = 5_000
# What to install for a database, where its driver is not there.
DRIVERS: Final = {
    "postgresql": "psycopg (postgresql+psycopg://…)",
    "mysql": "pymysql (mysql+pymysql://…)",
    "mariadb": "pymysql (mariadb+pymysql://…)",
    "oracle": "oracledb (oracle+oracledb://…)",
    "mssql": "pyodbc (mssql+pyodbc://…)",
    "dm": "dmSQLAlchemy (dm://…)",
    "kingbase": "psycopg (postgresql+psycopg://…)",
}


class Database:
    """A table or query of a database: headings, order, number of rows."""

    def __init__(self, url: str, form: Form, table: str | None = None, query: str | None = None) -> None:
        """Connects and looks. Raises SourceError; never tells a password."""
        import sqlalchemy as sa

        if (table is None) == (query is None):
            raise SourceError("数据库须给 --table 或 --query 之一 a database needs either --table or --query")
        try:
            self._engine = _engine(url)
            # Options after the ? may hold a password too.
            self.url = self._engine.url.set(query={}).render_as_string(hide_password=True)
            selected, keys = _selected(self._engine, table, query)
            self.names = [column.name for column in selected.columns]
            found, _ = form.match(self.names)
            self.order = keys or [
                name for key in (*form.keys, "cd_time") for name, code in found.items() if code == key
            ]
            if not self.order:
                raise SourceError(f"没有可排序的列 no column to order by: {'、'.join(form.keys)}")
            self._select: Select[Any] = sa.select(selected).order_by(*(selected.columns[name] for name in self.order))
            with self._engine.connect() as connection:
                count = connection.execute(sa.select(sa.func.count()).select_from(selected)).scalar()
                self.rows = int(count or 0)
        except sa.exc.SQLAlchemyError as error:
            raise SourceError(f"数据库 database: {_plain(error)}") from error
        self.table, self.query = table, query

    def pieces(self) -> Iterator[Piece]:
        """Its rows in order; a row's line is its place in it, from 1. Raises SourceError."""
        import sqlalchemy as sa

        line = 1
        try:
            with self._engine.connect().execution_options(stream_results=True, yield_per=_ROWS) as connection:
                for part in connection.execute(self._select).partitions(_ROWS):
                    columns = zip(self.names, zip(*part, strict=True), strict=True)
                    rows = as_text(pl.DataFrame([_column(name, values) for name, values in columns]))
                    lines = pl.int_range(line, line + len(part), dtype=pl.Int64, eager=True)
                    line += len(part)
                    yield Piece(rows, lines, upto=line - 1)
        except sa.exc.SQLAlchemyError as error:
            raise SourceError(f"数据库 database: {_plain(error)}") from error


def _engine(url: str) -> "Engine":
    import sqlalchemy as sa

    scheme = url.partition(":")[0].partition("+")[0].lower()
    try:
        return sa.create_engine(url)
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        driver = DRIVERS.get(scheme, "the SQLAlchemy driver of that database")
        raise SourceError(f"缺少数据库驱动，请安装 this database's driver is not here, install {driver}") from error
    except (sa.exc.ArgumentError, ValueError) as error:
        raise SourceError("不是数据库地址 no database URL, as in sqlite:///x.db") from error


def _selected(engine: "Engine", table: str | None, query: str | None) -> tuple[Any, list[str]]:
    """What to select from, with its columns, and its primary key."""
    import sqlalchemy as sa

    if query is not None:
        query = query.strip().rstrip(";").replace(":", r"\:")  # a colon is no parameter
        with engine.connect() as connection:
            names = list(connection.execute(sa.select(sa.text("*")).select_from(_aliased(query)).limit(0)).keys())
        return sa.text(query).columns(*(sa.column(name) for name in names)).subquery("q"), []
    schema, _, name = (table or "").rpartition(".")
    try:
        reflected = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=engine)
    except sa.exc.NoSuchTableError as error:
        raise SourceError(f"没有表 no table {(table or '')[:60]}") from error
    # As it comes from the driver: some databases hold what their declared types do not read.
    plain = sa.table(name, *(sa.column(column.name) for column in reflected.columns), schema=schema or None)
    return plain, [column.name for column in reflected.primary_key.columns]


def _aliased(query: str) -> Any:
    import sqlalchemy as sa

    return sa.text(f"({query}) q")


def _column(name: str, values: Sequence[Any]) -> pl.Series:
    """A column of the driver's values; one of several types as text, value by value."""
    kinds = {type(value) for value in values} - {type(None)}
    if len(kinds) == 1 and kinds <= {str, int, float, dt.date, dt.datetime}:
        try:
            return pl.Series(name, values)
        except (OverflowError, TypeError, pl.exceptions.PolarsError):
            pass
    return pl.Series(name, [_value(value) for value in values], dtype=pl.String)


def _value(value: Any) -> str | None:
    """The same text as the column would have been."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, int | float | dt.date):
        try:
            return str(as_text(pl.Series("v", [value]).to_frame())["v"][0])
        except (OverflowError, pl.exceptions.PolarsError):
            return str(value)
    return str(value)


def _plain(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split())[:200]
