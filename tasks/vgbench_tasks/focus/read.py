"""Read FOCUS where it lies: photographs, and ``annotations.db``, an SQLite table of what each shows; protocols §3.9."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import PurePosixPath

from vgbench import Made, Step
from vgbench.listing import Listing
from vgbench_tasks.datasets.factors import Case, Layout
from vgbench_tasks.focus import tables

DATABASE = "annotations.db"
QUERY = "SELECT file_name, category, time, weather, locations FROM annotations"


def cases(listing: Listing) -> Sequence[Case]:
    """Return the annotated photographs, with and without people (upstream's default).

    ``file_name`` begins with one character that upstream cuts off ("./truck/1.jpg"), and is meant from the folder of
    the database. Values are names or numbers. Raises ``ValueError`` without the database, and for photographs that are
    annotated and do not lie there.
    """
    databases = [name for name in listing.files if PurePosixPath(name).name == DATABASE]
    if len(databases) != 1:
        raise ValueError(f"{listing.root}: one {DATABASE} is needed, {len(databases)} lie there")
    try:
        uri = f"{listing.path(databases[0]).absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            rows = connection.execute(QUERY).fetchall()
    except sqlite3.Error as error:
        raise ValueError(f"{listing.path(databases[0])}: {error}") from error
    folder = PurePosixPath(databases[0]).parent
    found = []
    for file_name, category, time, weather, locations in rows:
        sample_id = str(file_name)[1:].lstrip("/")
        numbered = "category_index" if str(category).isdecimal() else "category"
        columns = {numbered: str(category), "time": str(time), "weather": str(weather), "locations": str(locations)}
        found.append(Case(sample_id, (folder / sample_id).as_posix(), columns))
    lacking = [case.location for case in found if case.location not in listing.files]
    if lacking:
        raise ValueError(
            f"{listing.root}: {len(lacking)} annotated photographs are not there: {', '.join(lacking[:3])}"
        )
    return found


LAYOUT = Layout(cases, tables.labels, category="class_id")


def images(step: Step) -> Made:
    """Index the photographs, without what is known of them."""
    return LAYOUT.images(step)


def labels(step: Step) -> Made:
    """Write the category of every photograph and which of its attributes are uncommon."""
    return LAYOUT.table(step)
