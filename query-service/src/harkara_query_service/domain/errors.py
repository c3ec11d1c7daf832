"""What can go wrong with a question.

    QueryError
    ├── CallerError                 the caller's fault: asking again the same way changes nothing
    │   ├── UnauthenticatedError    no token, or one that is not good
    │   ├── ForbiddenError          known, but not allowed
    │   ├── NotFoundError           nothing there that the caller may know of
    │   └── BadParameterError       a parameter is not spelt as documented, or out of its range
    │       └── UnknownTypeError    `event_type` names no type of the catalogue
    └── UnavailableError            ours: something the answer needs does not answer now
        └── OverloadedError         it would answer, but too many are waiting for it

Which HTTP status each has is one table, in `adapters/answers.py`.
"""


class QueryError(Exception):
    """A question that gets no answer; its text is for people and safe to show."""


class CallerError(QueryError):
    """The caller's fault."""


class UnauthenticatedError(CallerError):
    """No token, or a token that is not good. Why, the caller never learns."""

    def __init__(self) -> None:
        super().__init__("A valid bearer token is required.")


class ForbiddenError(CallerError):
    """The caller is known and may not read this."""

    def __init__(self) -> None:
        super().__init__("You may not read this.")


class NotFoundError(CallerError):
    """Nothing there that the caller may know of."""

    def __init__(self, what: str) -> None:
        """Args: what: a noun, such as "event"."""
        super().__init__(f"There is no such {what}.")
        self.what = what


class BadParameterError(CallerError):
    """A parameter is not as documented."""

    def __init__(self, name: str, expected: str) -> None:
        """Args: name: the parameter's; expected: what it must be, such as "an integer from 1 to 100"."""
        super().__init__(f"{name} must be {expected}.")
        self.name = name
        self.expected = expected


class UnknownTypeError(BadParameterError):
    """`event_type` names no type of the catalogue."""

    def __init__(self) -> None:
        super().__init__("event_type", "a type of the catalogue")


class UnavailableError(QueryError):
    """Something the answer needs does not answer now."""

    def __init__(self, dependency: str) -> None:
        """Args: dependency: for our logs and metrics, such as "postgres"; never shown."""
        super().__init__("This cannot be answered right now; try again shortly.")
        self.dependency = dependency


class OverloadedError(UnavailableError):
    """Too many are waiting already."""
