"""The SQL Server with the cases: the only file that knows it.

The same code runs on SQL Server (mssql-django) and on the embedded SQLite file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError, Error, ProgrammingError, connections, models
from tenacity import (
    before_sleep_log,
    retry,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

logger = logging.getLogger(__name__)

ALIAS = "recursos"
PAGE = 1000  # rows a statement; a statement takes at most 2,100 parameters on SQL Server
# SQL Server's error where a trigger on the table forbids OUTPUT without INTO.
OUTPUT_FORBIDDEN = "(334)"
P = ParamSpec("P")
T = TypeVar("T")
Row = dict[str, Any]


class OriginError(Exception):
    """The origin did not answer as it should; never to be read as "no work"."""


class OriginUnreachable(OriginError):
    """No connection, or it broke: worth another try later."""


class OriginRefused(OriginError):
    """The server answered no: wrong credentials, missing table or rights."""


class OriginRouter:
    """RecursosExp lives on its own alias, which Django never migrates."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        return ALIAS if model is RecursosExp else None

    db_for_write = db_for_read

    def allow_relation(self, *args: Any, **hints: Any) -> bool | None:
        return None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == ALIAS else None


@models.CharField.register_lookup
class Like(models.Lookup):
    """`column LIKE pattern`, bare: `icontains` wraps the column in UPPER() and loses the index."""

    lookup_name = "like"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        lhs, lhs_params = self.process_lhs(compiler, connection)
        rhs, rhs_params = self.process_rhs(compiler, connection)
        return f"{lhs} LIKE {rhs}", (*lhs_params, *rhs_params)


class RecursosExp(models.Model):
    """A case. Not ours: read, and changed by a claim alone."""

    idRecurso = models.BigIntegerField(primary_key=True)
    idExp = models.BigIntegerField(null=True)
    Expedient = models.CharField(max_length=300, null=True)  # noqa: DJ001
    Organisme = models.CharField(max_length=300, null=True)  # noqa: DJ001
    TExp = models.IntegerField(null=True)
    Estado = models.IntegerField(null=True)
    numclient = models.BigIntegerField(null=True)
    SujetoRecurso = models.CharField(max_length=300, null=True)  # noqa: DJ001
    FaseProcedimiento = models.CharField(max_length=300, null=True)  # noqa: DJ001
    UsuarioAsignado = models.CharField(max_length=100, null=True)  # noqa: DJ001
    matricula = models.CharField(max_length=50, null=True)  # noqa: DJ001
    Empresa = models.CharField(max_length=300, null=True)  # noqa: DJ001
    cif = models.CharField(max_length=50, null=True)  # noqa: DJ001
    notas = models.TextField(null=True)  # noqa: DJ001
    FAlta = models.DateTimeField(null=True)

    class Meta:
        managed = False
        # The backend puts the whole name in brackets unless it has them already; on SQLite it
        # is the literal name of the table. The tests keep the T-SQL that comes of it.
        db_table = "[Recursos].[RecursosExp]"
        ordering = ["idRecurso"]

    def __str__(self) -> str:
        return f"{self.idRecurso} {self.Expedient}"


REQUIRED = (
    "idRecurso",
    "idExp",
    "Expedient",
    "Organisme",
    "TExp",
    "Estado",
    "numclient",
    "SujetoRecurso",
    "FaseProcedimiento",
    "UsuarioAsignado",
)
PROOF = ("idRecurso", "TExp", "Estado", "UsuarioAsignado")
_columns: dict[str, tuple[str, ...]] = {}


def _translated(error: Error) -> OriginError:
    """What a driver's error means to staff. The text is the driver's, without its parameters."""
    text = str(error)
    no_right = ("28000", "Login failed", "no such table", "no such column", "permission")
    if isinstance(error, ProgrammingError) or any(sign in text for sign in no_right):
        return OriginRefused(text)
    return OriginUnreachable(text)


def _asking(function: Callable[P, T]) -> Callable[P, T]:
    """Turn the driver's errors into the origin's, and drop a connection that broke."""

    @wraps(function)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Error as error:
            connection = connections[ALIAS]
            if not connection.in_atomic_block:
                connection.close()
            raise _translated(error) from error

    return asked


_again = retry(
    retry=retry_if_exception_type(OriginUnreachable),
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.3, max=3),
    before_sleep=before_sleep_log(logger, logging.WARNING),
    reraise=True,
)


@_again
@_asking
def columns() -> tuple[str, ...]:
    """The columns of RecursosExp that this origin has. Raises OriginRefused where one lacks."""
    name = str(connections[ALIAS].settings_dict["NAME"])
    if name not in _columns:
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(f"SELECT * FROM {_table()} WHERE 1 = 0")
            there = {column[0] for column in cursor.description}
        if missing := [column for column in REQUIRED if column not in there]:
            raise OriginRefused(f"RecursosExp has no column {', '.join(missing)}")
        known = [field.name for field in RecursosExp._meta.fields]
        _columns[name] = tuple(column for column in known if column in there)
    return _columns[name]


def discovery(patterns: Sequence[str], texp: Sequence[int]) -> models.QuerySet[RecursosExp]:
    """The candidates: free cases of an organism, in the order of their ids."""
    return _matching(patterns).filter(TExp__in=texp, Estado=0, Expedient__isnull=False)


def ours(
    patterns: Sequence[str], account: str, rule: Mapping[str, int]
) -> models.QuerySet[RecursosExp]:
    """The cases that the origin shows as claimed by our account."""
    # LIKE finds the name with blanks around it too; the caller compares it trimmed.
    rows = _matching(patterns).filter(UsuarioAsignado__like=f"%{account}%")
    return rows.filter(**rule)


def _matching(patterns: Sequence[str]) -> models.QuerySet[RecursosExp]:
    rows = RecursosExp.objects.using(ALIAS)
    for pattern in patterns:
        rows = rows.filter(Organisme__like=pattern)
    return rows.order_by("idRecurso")


def narrowing(
    patterns: Sequence[str], texp: Sequence[int]
) -> list[tuple[str, str, models.QuerySet[RecursosExp]]]:
    """The discovery filter by filter, each on top of those before: (name, detail, rows)."""
    rows = _matching(patterns)
    by_texp = rows.filter(TExp__in=texp)
    free = by_texp.filter(Estado=0)
    return [
        ("Organisme", " ".join(patterns), rows),
        ("TExp", ", ".join(map(str, texp)), by_texp),
        ("Estado", "0", free),
        ("Expedient", "not null", free.filter(Expedient__isnull=False)),
    ]


@_again
@_asking
def count(rows: models.QuerySet[RecursosExp]) -> int:
    return rows.order_by().count()


def stream(rows: models.QuerySet[RecursosExp], page: int = PAGE) -> Iterator[Row]:
    """The rows in pages by key: no cursor stays open and no more than a page is in memory."""
    last = None
    while True:
        batch = _page(rows if last is None else rows.filter(idRecurso__gt=last), page)
        yield from batch
        if len(batch) < page:
            return
        last = batch[-1]["idRecurso"]


@_again
@_asking
def _page(rows: models.QuerySet[RecursosExp], size: int) -> list[Row]:
    return list(rows.values(*columns())[:size])


@_again
@_asking
def read(id_recurso: int) -> Row | None:
    """One case as it is now."""
    return RecursosExp.objects.using(ALIAS).filter(pk=id_recurso).values(*columns()).first()


def proof_rows(ids: Sequence[int]) -> models.QuerySet[RecursosExp, Row]:
    return RecursosExp.objects.using(ALIAS).filter(pk__in=ids).order_by().values(*PROOF)


@_again
@_asking
def read_back(ids: Iterable[int]) -> dict[int, Row]:
    """What the origin shows of these cases now, by id; a case that is gone is not in it."""
    wanted = list(ids)
    pages = (wanted[start : start + PAGE] for start in range(0, len(wanted), PAGE))
    return {int(row["idRecurso"]): row for page in pages for row in proof_rows(page)}


def claim_statement(
    vendor: str, ids: Sequence[int], account: str, rule: Mapping[str, int], texp: Sequence[int]
) -> tuple[str, list[Any]]:
    """The set-based claim, which answers with the ids that it changed."""
    setting = {"UsuarioAsignado": account, **rule}
    sets = ", ".join(f"{_quoted(name, vendor)} = %s" for name in setting)
    output = " OUTPUT inserted.[idRecurso]" if vendor == "microsoft" else ""
    returning = "" if vendor == "microsoft" else f" RETURNING {_quoted('idRecurso', vendor)}"
    sql = (
        f"UPDATE {_table(vendor)} SET {sets}{output}"
        f" WHERE {_quoted('idRecurso', vendor)} IN ({', '.join(['%s'] * len(ids))})"
        f" AND {_quoted('Estado', vendor)} = 0"
        f" AND {_quoted('TExp', vendor)} IN ({', '.join(['%s'] * len(texp))}){returning}"
    )
    return sql, [*setting.values(), *ids, *texp]


@_asking
def claim(
    ids: Sequence[int], account: str, rule: Mapping[str, int], texp: Sequence[int]
) -> set[int]:
    """Take free cases for `account`; the ids that this statement changed.

    The guard (Estado = 0, TExp still among `texp`) is in the statement, so of any number of
    claimers one gets the case. Not repeated on an error: a read-back tells what came of it.
    """
    connection = connections[ALIAS]
    try:
        with connection.cursor() as cursor:
            cursor.execute(*claim_statement(connection.vendor, ids, account, rule, texp))
            return {int(row[0]) for row in cursor.fetchall()}
    except DatabaseError as error:
        if OUTPUT_FORBIDDEN not in str(error):
            raise
        return {pk for pk in ids if _claim_one(pk, account, rule, texp)}


def _claim_one(pk: int, account: str, rule: Mapping[str, int], texp: Sequence[int]) -> bool:
    free = RecursosExp.objects.using(ALIAS).filter(pk=pk, Estado=0, TExp__in=texp)
    return free.update(UsuarioAsignado=account, **rule) == 1


@_asking
def release(id_recurso: int, account: str, before: Mapping[str, Any]) -> bool:
    """Give a case of ours back as it was; False when it is not ours any more."""
    row = read_back([id_recurso]).get(id_recurso)
    if row is None or (row["UsuarioAsignado"] or "").strip() != account:
        return False
    mine = RecursosExp.objects.using(ALIAS).filter(
        pk=id_recurso, UsuarioAsignado=row["UsuarioAsignado"], TExp=row["TExp"]
    )
    values = {name: before.get(name) for name in ("TExp", "Estado", "UsuarioAsignado")}
    return mine.update(**values) == 1


@_asking
def correct_expediente(id_recurso: int, old: str, new: str) -> bool:
    """Write a repaired case number, unless somebody changed it meanwhile."""
    same = RecursosExp.objects.using(ALIAS).filter(pk=id_recurso, Expedient=old)
    return same.update(Expedient=new) == 1


def _table(vendor: str = "") -> str:
    return _quoted(RecursosExp._meta.db_table, vendor or connections[ALIAS].vendor)


def _quoted(name: str, vendor: str) -> str:
    if vendor == "microsoft":
        return name if name.startswith("[") else f"[{name}]"
    return f'"{name}"'


def is_in_transaction() -> bool:
    """Whether this thread's connection is inside a transaction of the caller's."""
    return connections[ALIAS].in_atomic_block


def hang_up() -> None:
    """Close this thread's connection."""
    connections[ALIAS].close()
