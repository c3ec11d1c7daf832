"""How Alembic runs our migrations: on the connection that it is given, one transaction for each.

`harkara_schema.migrate` opens the connection, waits for other migrators and passes it in `config.attributes`.
Nothing here reads a settings file, configures logging or prints; nor does it load the tables' classes, which
would cost half a second and are needed to compare, not to migrate.
"""

from alembic import context

from harkara_schema.version import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    on_version_apply=context.config.attributes["on_version_apply"],
    version_table=VERSION_TABLE,
    # A migration that fails takes only itself back, and the next run begins with it.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
