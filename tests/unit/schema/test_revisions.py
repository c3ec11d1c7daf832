"""The migrations as files, and what a service makes of a database's revision."""

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from harkara_schema.errors import SchemaError, SchemaVersionError
from harkara_schema.version import HEAD_REVISION, check_revision


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", "harkara_schema:migrations")
    return ScriptDirectory.from_config(config)


def test_the_release_needs_the_newest_migration() -> None:
    assert scripts().get_heads() == [HEAD_REVISION]


def test_migrations_are_numbered_in_their_order() -> None:
    revisions = [script.revision for script in scripts().walk_revisions()][::-1]
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]


def test_a_database_at_the_needed_revision_passes() -> None:
    check_revision(HEAD_REVISION)


def test_a_database_that_a_newer_release_migrated_passes() -> None:
    check_revision("9999")


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (None, f"database has no tables yet, this release needs {HEAD_REVISION}: run ./harkara migrate"),
        ("0000", f"database is at revision 0000, this release needs {HEAD_REVISION}: run ./harkara migrate"),
    ],
)
def test_an_older_database_is_refused_in_one_line_that_says_what_to_do(found: str | None, line: str) -> None:
    with pytest.raises(SchemaVersionError) as refusal:
        check_revision(found)
    assert str(refusal.value) == line
    assert (refusal.value.found, refusal.value.needed) == (found, HEAD_REVISION)
    assert isinstance(refusal.value, SchemaError)
