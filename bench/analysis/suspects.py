"""Labels that are likely wrong, by confident learning (Northcutt, Jiang and Chuang 2021) as cleanlab has it.

What is judged is the test split: of it there are stored probabilities, by networks that never saw its images.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.errors import InputError

if TYPE_CHECKING:
    from bench.store.run_store import RunStore

COLUMNS = ("position", "label", "suggested", "self_confidence", "suspect")


def stored_probabilities(store: "RunStore", fingerprint: str, split_id: str) -> tuple[np.ndarray, list[str]]:
    """The mean probabilities of the runs with most training images, float64 (test images, classes).

    Diverged runs, and those whose probabilities are not there, do not count. Of a head that is wider than the
    data has classes, as a kept one may be, the outputs beyond them are left out.

    Returns:
        The probabilities, and the ids of the runs.

    Raises:
        InputError: there is none.
        StoreError: stored probabilities are damaged.
    """
    runs = [
        record
        for record in store.each_result()
        if (record.data.fingerprint, record.data.split_id) == (fingerprint, split_id)
        and record.outcome == "finished"
        and store.has_probabilities(record.id)
    ]
    largest = max((record.data.train_images for record in runs), default=0)
    ids = [record.id for record in runs if record.data.train_images == largest]
    if not ids:
        raise InputError(
            f"{store.root}: has no finished run with probabilities on this data ({split_id}); run a "
            "suite on it first"
        )
    classes = runs[0].data.classes
    total = sum((store.probabilities(run)[:, :classes].astype(np.float64) for run in ids), np.zeros(()))
    return total / total.sum(1, keepdims=True), ids


def suspects(labels: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """All images, those first whose labels are least supported.

    Args:
        labels: int64 (n,), the given ones.
        probabilities: float64 (n, classes), by networks that were not trained on these images.

    Returns:
        `position` of the image; its `label`; the class that is `suggested` instead; `self_confidence`, the
        probability of the given label; and whether confident learning takes it for a `suspect`. Suspects come
        first, within them and the others in the order of self_confidence.

    Raises:
        InputError: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise InputError('suspect labels need: pip install "vcbench[labels]"') from error
    # More processes are slower for thousands of images, and fork a process that has threads.
    wrong = find_label_issues(labels, probabilities, n_jobs=1)
    table = pd.DataFrame(
        {
            "position": np.arange(len(labels)),
            "label": labels,
            "suggested": probabilities.argmax(1),
            "self_confidence": probabilities[np.arange(len(labels)), labels],
            "suspect": wrong,
        }
    )
    return table.sort_values(["suspect", "self_confidence"], ascending=[False, True], ignore_index=True)
