"""The buckets of tokens that servers share: one statement takes some, on the clock of the database."""

from __future__ import annotations

import sqlalchemy as sa

from cellblock.model.resources import Granted, TokenWant

_NOW = {"postgresql": "CAST(EXTRACT(EPOCH FROM statement_timestamp()) AS DOUBLE PRECISION)", "sqlite": ":time"}
_LEAST = {"postgresql": "LEAST", "sqlite": "MIN"}
_MOST = {"postgresql": "GREATEST", "sqlite": "MAX"}
_WHOLE = {"postgresql": "CAST(FLOOR({}) AS INTEGER)", "sqlite": "CAST({} AS INTEGER)"}  # of what is below 0, only that it is


def take(connection: sa.Connection, want: TokenWant, time: float) -> Granted:
    """See ClusterStore.take_tokens."""
    values = {
        "account": want.account,
        "operation": want.operation,
        "rate": want.rate,
        "burst": want.burst,
        "debt": want.debt,
        "wanted": want.count,
        "time": time,
    }
    row = connection.execute(_STATEMENTS[connection.dialect.name], values).one()
    return Granted(int(row.granted), 0.0 if row.granted else max(0.0, (1.0 - row.tokens) / want.rate))


def _statement(dialect: str) -> sa.TextClause:
    """What is granted is in the row because PostgreSQL returns no value of before; a clock that was set back adds nothing."""
    now, least, most = _NOW[dialect], _LEAST[dialect], _MOST[dialect]
    filled = f"{least}(:burst, buckets.tokens + {most}(0.0, {now} - buckets.filled_at) * :rate)"
    granted = {level: f"{most}(0, {least}(:wanted, {_WHOLE[dialect].format(f'{level} + :debt')}))" for level in (":burst", filled)}
    text = f"""
        INSERT INTO buckets (account, operation, tokens, granted, filled_at)
        VALUES (:account, :operation, :burst - {granted[":burst"]}, {granted[":burst"]}, {now})
        ON CONFLICT (account, operation) DO UPDATE
        SET tokens = {filled} - {granted[filled]}, granted = {granted[filled]}, filled_at = {now}
        RETURNING granted, tokens
        """
    kinds = {"rate": sa.Double, "burst": sa.Double, "debt": sa.Double, "time": sa.Double, "wanted": sa.Integer}
    return sa.text(text).bindparams(*(sa.bindparam(name, type_=kind) for name, kind in kinds.items() if f":{name}" in text))


_STATEMENTS = {dialect: _statement(dialect) for dialect in _NOW}
