"""The pure rules of the query-service: who may read what, which rows, which days. No I/O, no clock."""
