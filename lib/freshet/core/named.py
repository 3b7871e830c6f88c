"""Things that are found by their name: the registry of item models, and that of terms."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from freshet.core.errors import StateError


class Named(Protocol):
    """Whatever has a name."""

    name: str


T = TypeVar("T", bound=Named)


class NameRegistry(Generic[T]):
    """Things by name, in the order in which they were added. `kind` says in errors what they are."""

    def __init__(self, kind: str, *things: T) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}
        for thing in things:
            self.add(thing)

    def add(self, thing: T) -> None:
        """Adds a thing under its name. Raises StateError where the name is taken by another one."""
        if self._things.get(thing.name, thing) is not thing:
            raise StateError(f"there are two of this name: {self.kind} {thing.name}", do="Rename one of them")
        self._things[thing.name] = thing

    def remove(self, thing: T) -> None:
        """Takes a thing out; nothing happens where it is not in."""
        if self._things.get(thing.name) is thing:
            del self._things[thing.name]

    def __getitem__(self, name: str) -> T:
        """Raises StateError for an unknown name: a name never stands for something else."""
        if name not in self._things:
            raise self.unknown(name)
        return self._things[name]

    def unknown(self, name: str) -> StateError:
        """The error that says that there is nothing of this name."""
        return StateError(
            f"there is no {self.kind} of this name",
            where=name,
            expected=f"one of {', '.join(self._things)}",
            do="If a module of your own brings it, name the module in the setting extensions.modules",
        )

    def __contains__(self, name: str) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._things.values()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._things)
