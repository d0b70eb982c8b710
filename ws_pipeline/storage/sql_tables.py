"""Tables of a database, read with a query through SQLAlchemy; nothing is ever written.

Secrets of the URL are in environment variables.  They are put in when a connection is made, and are in no
message: what a person sees is the URL as it is written.  Start reading at :meth:`Database.read`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa

from ws_pipeline.errors import FileAccessError, FileFormatError, MissingPackageError, SettingsError

if TYPE_CHECKING:
    import sqlalchemy as sa

_ENV = "env:"
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_TABLE = re.compile(r'[^\W\d]\w*(\.[^\W\d]\w*)*|"[^"]+"(\."[^"]+")*')
_SELECT = re.compile(r"(select|with)\b", re.IGNORECASE)
_IN_FILES = {"sqlite", "duckdb"}
_EXTRA = "pip install 'ws-pipeline[sql]'"


@dataclass(frozen=True)
class Database:
    """A database that is read.

    Parameters
    ----------
    url
        URL of SQLAlchemy, such as ``duckdb:///answers.duckdb``, in which ``${NAME}`` is an environment
        variable; or ``env:NAME``, if a variable holds all of it.
    folder
        Folder that the path of a database in a file is relative to.  Default: the working directory.
    """

    url: str
    folder: Path | None = None

    def __str__(self) -> str:
        return self.url

    def read(self, query: str, values: Mapping[str, Any] | None = None) -> pa.Table:
        """Rows of a query, with column types that follow from the values.

        Parameters
        ----------
        query
            See :func:`as_select`; ``{name}`` stands for a value, or for a column whose name is quoted.
        values
            Name to what is put in for it: a :class:`Column`, or a value.

        Raises
        ------
        MissingPackageError
            SQLAlchemy, or the driver of the database, is not installed.
        SettingsError
            The URL is none, or an environment variable is not set.
        FileAccessError
            The database cannot be reached, or refuses the query.
        FileFormatError
            A column has values that make no column of Arrow, or two columns have one name.
        """
        with self._telling_errors(), self._connection() as connection:
            import sqlalchemy as sa

            quoted = connection.dialect.identifier_preparer.quote
            text = query.replace(":", "\\:")  # no parameter of SQLAlchemy, such as 12:30
            bound: dict[str, Any] = {}
            for name, value in (values or {}).items():
                is_column = isinstance(value, Column)
                text = text.replace(f"{{{name}}}", quoted(value.name) if is_column else f":{name}")
                bound |= {} if is_column else {name: value}
            result = connection.execute(sa.text(text), bound)
            names, rows = list(result.keys()), result.fetchall()
        return _table(names, rows, where=self.url)

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        """A connection that cannot write, where the database can promise that, and that commits nothing."""
        import sqlalchemy as sa

        url = _resolved(self.url, self.folder)
        options: dict[str, Any] = {}
        if url.get_backend_name() == "duckdb":
            options["connect_args"] = {"read_only": True}
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool, **options)
        with engine.connect() as connection:
            if url.get_backend_name() == "postgresql":
                connection = connection.execution_options(  # noqa: PLW2901
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def _telling_errors(self) -> Iterator[None]:
        """Turn what SQLAlchemy and drivers raise into errors of this project, without any secret."""
        try:
            import sqlalchemy as sa
        except ImportError:
            message = f"{self.url}: tables of a database need SQLAlchemy; install it with {_EXTRA}"
            raise MissingPackageError(message) from None
        try:
            yield
        except (ImportError, sa.exc.NoSuchModuleError) as missing:
            message = (
                f"{self.url}: the driver of this database is not there ({missing}); install it with {_EXTRA}"
            )
            raise MissingPackageError(message) from None
        except sa.exc.ArgumentError:
            message = f"{self.url}: this is no URL of a database, expected one such as postgresql://host/name"
            raise SettingsError(message) from None
        except sa.exc.SQLAlchemyError as refused:
            said = _without_secrets(str(getattr(refused, "orig", None) or refused), self.url)
            message = (
                f"{self.url}: the database could not be read ({' '.join(said.split())}); check the URL and "
                "the query"
            )
            raise FileAccessError(message) from None


@dataclass(frozen=True)
class Column:
    """The name of a column, as a value of a query."""

    name: str


def as_select(query: str) -> str:
    """A query, or the name of a table, as a query.

    Raises
    ------
    ValueError
        It is neither; nothing but reading is allowed.
    """
    text = query.strip().removesuffix(";").strip()
    if _TABLE.fullmatch(text):
        return f"SELECT * FROM {text}"  # noqa: S608  the name of a table, as the pattern says
    if not _SELECT.match(text):
        message = (
            f"expected the name of a table, or a query that begins with SELECT or WITH, got {query[:60]!r}"
        )
        raise ValueError(message)
    return text


def check_url(url: str) -> str:
    """Return a URL that has no password in it.

    Raises
    ------
    ValueError
        There is one; the message says how to keep it in an environment variable, and does not repeat it.
    """
    password = re.search(r"://[^/@]*:([^@]*)@", url)
    if password and not _VARIABLE.fullmatch(password[1]):
        message = (
            "the URL has a password in it; keep it in an environment variable, and write its name as "
            "${NAME} in its place, or env:NAME for the whole URL"
        )
        raise ValueError(message)
    if "://" not in url and not url.startswith(_ENV):
        message = f"expected a URL such as postgresql://host/name, or env:NAME, got {url!r}"
        raise ValueError(message)
    return url


def _resolved(text: str, folder: Path | None) -> sa.URL:
    """The URL with what is in the environment; a database in a file is opened to be read only."""
    import sqlalchemy as sa

    if text.startswith(_ENV):
        url = sa.make_url(_variable(text.removeprefix(_ENV), text))
    else:
        url = sa.make_url(text)
        names = ("username", "password", "host", "database")
        parts = {name: _filled(getattr(url, name), text) for name in names}
        url = url.set(**parts, query={name: _filled(value, text) for name, value in url.query.items()})
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() in _IN_FILES and url.database and url.database != ":memory:":
        path = (folder or Path()) / url.database
        is_sqlite = url.get_backend_name() == "sqlite"
        url = url.set(database=f"file:{quote(str(path.resolve()))}" if is_sqlite else str(path))
        url = url.update_query_dict({"mode": "ro", "uri": "true"}) if is_sqlite else url
    return url


def _filled(part: Any, url: str) -> Any:
    return _VARIABLE.sub(lambda found: _variable(found[1], url), part) if isinstance(part, str) else part


def _variable(name: str, url: str) -> str:
    if name not in os.environ:
        message = f"{url}: the environment variable {name} is not set; set it where the pipeline runs"
        raise SettingsError(message)
    return os.environ[name]


def _without_secrets(said: str, url: str) -> str:
    """A message of a driver without the values of the variables that the URL names."""
    names = [url.removeprefix(_ENV)] if url.startswith(_ENV) else _VARIABLE.findall(url)
    for name in names:
        value = os.environ.get(name, "")
        said = said.replace(value, f"${{{name}}}") if value else said
        password = re.search(r"://[^/@]*:([^@]*)@", value)
        said = said.replace(password[1], "***") if password and password[1] else said
    return said


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]], *, where: str) -> pa.Table:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        message = (
            f"{where}: columns of a query must have different names, repeated: {repeated}; rename with AS"
        )
        raise FileFormatError(message)
    arrays = {}
    for place, name in enumerate(names):
        try:
            arrays[name] = pa.array([row[place] for row in rows])
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as mixed:
            reason = str(mixed).partition("\n")[0]
            message = f"{where}: column '{name}' has values of no one type ({reason}); cast it in the query"
            raise FileFormatError(message) from None
    return pa.table(arrays)
