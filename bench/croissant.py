"""Splits as MLCommons Croissant 1.0 metadata, with the list of images beside.

Nothing of the images is written: a row says where an image comes from, its split, its position in it and
its class.
"""

import csv
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.data import Dataset, find_facts
from bench.data.base import SPLITS
from bench.escape import csv_text
from bench.exchange.cite import AUTHORS, RELEASED, TITLE
from bench.files import write_json, write_text

if TYPE_CHECKING:
    from bench.store.run_store import RunStore

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
# The context that the specification prescribes.
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
COLUMNS = {
    "split": ("sc:Text", "train, val or test"),
    "position": ("sc:Integer", "place within the split, from 0: the order of stored predictions"),
    "source": ("sc:Text", "the file or the place in the official files that the image comes from"),
    "label": ("sc:Integer", "class, from 0"),
    "class_name": ("sc:Text", "name of the class"),
}


def splits_of(store: "RunStore") -> list[tuple[str, str]]:
    """The datasets and split ids that a store has trials of; a user's own images are left out."""
    datas = [record["data"] for record in store.trials() if record["data"]["copy"] != "own data"]
    return sorted({(data["dataset"], data["split_id"]) for data in datas})


def export_croissant(dataset: Dataset, data_dir: Path, out: Path) -> list[Path]:
    """Write out/croissant.json and out/splits.csv of one dataset and split; returns the files.

    Args:
        dataset: opened.
        data_dir: its files are named from here on.
        out: the folder.

    Raises:
        StoreError: it cannot be written.
    """
    table = _table(dataset, data_dir)
    write_text(out / "splits.csv", table)
    write_json(out / "croissant.json", metadata(dataset, hashlib.sha256(table.encode()).hexdigest()))
    return [out / "croissant.json", out / "splits.csv"]


def metadata(dataset: Dataset, sha256: str) -> dict[str, Any]:
    """The Croissant description of splits.csv, whose content has this SHA-256."""
    facts = find_facts(dataset.name)
    counts = ", ".join(f"{count} {split}" for split, count in dataset.counts().items() if count)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": f"{dataset.name}-{dataset.split_id}",
        "description": (
            f'The division "{dataset.split_id}" of {facts.title} as VCBench {__version__} uses it: {counts} '
            f"images. The images are not part of it. Source: {facts.source}. Fingerprint of the data: "
            f"{dataset.fingerprint} ({dataset.copy})."
        ),
        "citeAs": f"{AUTHORS} ({RELEASED[:4]}). {TITLE}. Version {__version__}.",
        "datePublished": RELEASED,
        "version": __version__,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "splits.csv",
                "name": "splits.csv",
                "description": "One row an image.",
                "contentUrl": "splits.csv",
                "encodingFormat": "text/csv",
                "sha256": sha256,
            }
        ],
        "recordSet": [_split_names(dataset), _images()],
    }


def _split_names(dataset: Dataset) -> dict[str, Any]:
    field = _field("splits/name", "name", "sc:Text", "name of the split")
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The splits.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [field],
        "data": [{"splits/name": split} for split, count in dataset.counts().items() if count],
    }


def _images() -> dict[str, Any]:
    fields = []
    for name, (kind, words) in COLUMNS.items():
        field = _field(f"images/{name}", name, kind, words)
        field["source"] = {"fileObject": {"@id": "splits.csv"}, "extract": {"column": name}}
        if name == "split":
            field["references"] = {"field": {"@id": "splits/name"}}
        fields.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "description": "The images of all splits.",
        "key": [{"@id": "images/split"}, {"@id": "images/position"}],
        "field": fields,
    }


def _field(identifier: str, name: str, kind: str, words: str) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": identifier, "name": name, "description": words, "dataType": kind}


def _table(dataset: Dataset, data_dir: Path) -> str:
    """One row an image, in the order of the splits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for split in SPLITS:
        for position, image in enumerate(dataset.splits[split].tolist()):
            label = int(dataset.labels[image])
            source = dataset.source(image)
            if Path(source).is_relative_to(data_dir):
                source = Path(source).relative_to(data_dir).as_posix()
            writer.writerow([split, position, csv_text(source), label, csv_text(dataset.class_names[label])])
    return text.getvalue()
