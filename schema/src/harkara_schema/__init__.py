"""The tables and their migrations: the database contract, and no service's behaviour.

* `harkara_schema.tables`: what each table holds, as SQLModel classes.
* `harkara_schema.partitions`: the weeks of `event_log`: pure arithmetic on event ids and times.
* `harkara_schema.version`: which revision a service needs, and the check that it makes when it starts.
* `harkara_schema.connections`: how a connection is opened from inside an event loop.
* `harkara_schema.migrate`: brings a database to that revision; what `./harkara migrate` calls.
"""
