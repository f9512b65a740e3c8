"""What was computed of trained weights and is kept in tables: it counts as long as they are the trial's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bench.store.run_store import RunStore


def rows_of_weights_now(
    store: "RunStore", table: "pd.DataFrame", columns: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rows of a table that are of the weights that the trials in them have now, with their checksums.

    Rows without a checksum, as earlier versions wrote them, are believed, and so are those of trials that
    cannot be read.

    Args:
        columns: the column of a trial's id, by that of its weights' checksum.
    """
    there, rows = set(store.names("runs")), []
    for row in table.to_dict("records"):
        trials = {name: store.trial(row[run]) for name, run in columns.items() if row[run] in there}
        now = {name: trial.weights_sha256 for name, trial in trials.items() if trial is not None}
        then = {name: row[name] for name in columns if isinstance(row.get(name), str)}
        if all(now.get(name, sha256) == sha256 for name, sha256 in then.items()):
            rows.append(row | now | then)
    return rows


def reach_kept(store: "RunStore") -> list[dict[str, Any]]:
    """The rows of the store's reach table that are of weights that are still those of their runs.

    Raises:
        StoreError: the file is damaged.
    """
    table = store.reach()
    return [] if table is None else rows_of_weights_now(store, table, {"weights": "run"})
