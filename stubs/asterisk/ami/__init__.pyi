# The message types of asterisk-ami that the router uses.
class Event:
    name: str
    keys: dict[str, str | list[str]]
    def __init__(self, name: str, keys: dict[str, str | list[str]] = ...) -> None: ...

class Response:
    status: str
    keys: dict[str, str | list[str]]
    follows: list[str] | None
    def __init__(
        self, status: str, keys: dict[str, str | list[str]] = ..., fallows: list[str] | None = ...
    ) -> None: ...
    def is_error(self) -> bool: ...

class Action:
    name: str
    keys: dict[str, str]
    variables: dict[str, str]
    def __init__(
        self, name: str, keys: dict[str, str] | None = ..., variables: dict[str, str] | None = ...
    ) -> None: ...

class SimpleAction(Action):
    def __init__(self, name: str, **kwargs: str) -> None: ...
