"""What joins the query-service to HTTP, Postgres, the auth-service and the event-service."""
