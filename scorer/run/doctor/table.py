"""Whether the table that the predictions go to can be had."""

from collections.abc import Iterator

from scorer.run.doctor.finding import Finding, ok
from scorer.settings import Job
from scorer.tables import TableName, catalog, is_table, load


def findings(job: Job) -> Iterator[Finding]:
    """The catalog answers, and what it says of the table. Nothing where predictions go to files."""
    if not is_table(job.sink):
        return
    name = TableName.parse(job.sink)
    catalog(name.catalog)  # tells what is missing where pyiceberg is not there
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table = load(name)
    except NoSuchTableError:
        yield ok("table", f"{name} is not there yet; the first run makes it")
        return
    yield ok("table", f"{name} at {table.location()}, {len(table.snapshots()):,} snapshot(s)")
