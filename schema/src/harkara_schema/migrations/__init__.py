"""The migrations and how Alembic runs them; read by `harkara_schema.migrate` alone."""
