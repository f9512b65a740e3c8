"""One module a dataset; a new file here is all that a new dataset needs.

A module holds `FACTS`, a `bench.data.base.Facts` whose name is the module's, and the function
`load(split_id, folders) -> Dataset`, which raises DataError when files are missing. It may also hold
`download(data_dir)`, which fetches the files, and `certify(dataset, data_dir) -> list[str]`, which
compares them with the official archive and returns what is wrong. Modules are imported to list the
datasets, so whatever is heavy is imported inside the functions.
"""
