"""Registries of objects by name: used for item models and for terms."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from freshet.core.errors import StateError


class Named(Protocol):
    """An object with a name."""

    name: str


T = TypeVar("T", bound=Named)


class NameRegistry(Generic[T]):
    """Objects by name, in the order in which they were added. `kind` says in errors what they are."""

    def __init__(self, kind: str, *entries: T) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: T) -> None:
        """Adds an object under its name. Raises StateError if another object has that name."""
        if self._entries.get(entry.name, entry) is not entry:
            raise StateError(f"two entries have the same name: {self.kind} {entry.name}", do="Rename one of them")
        self._entries[entry.name] = entry

    def remove(self, entry: T) -> None:
        """Removes an object; does nothing if it is not registered."""
        if self._entries.get(entry.name) is entry:
            del self._entries[entry.name]

    def __getitem__(self, name: str) -> T:
        """The object of this name. Raises StateError for an unknown name; there is no fallback."""
        if name not in self._entries:
            raise self.unknown(name)
        return self._entries[name]

    def unknown(self, name: str) -> StateError:
        """The error for an unknown name."""
        return StateError(
            f"there is no {self.kind} of this name",
            where=name,
            expected=f"one of {', '.join(self._entries)}",
            do="If it is defined in a module of your own, add the module to the setting extensions.modules",
        )

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._entries.values()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)
