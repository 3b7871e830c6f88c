"""A shop's own item models and terms, from modules that the setting extensions.modules names.

A module lists them in ITEM_MODELS and TERMS, tuples of objects with the methods of models/items/item_model.py and
ranking/terms/term.py; one of the two may be missing. Freshet itself is not changed for them. A recipe keeps the names
of the modules that were loaded when it was made, so that every process that loads the model (a worker, the stream,
another job) can load them: they must be importable there, for example by PYTHONPATH or --py-files.
"""

import hashlib
import importlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field

from freshet.core.errors import SettingsError, StateError
from freshet.core.named import NameRegistry
from freshet.core.parameters import parameters
from freshet.models.items.item_model import ItemModel
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.terms.registry import TERMS
from freshet.ranking.terms.term import Term


@parameters
class ExtensionParameters:
    """Modules with a shop's own code."""

    modules: tuple[str, ...] = Field(
        description="Python modules with item models and terms of your own; every worker must be able to import them"
    )


_loaded: dict[str, ModuleType] = {}
_loading = threading.RLock()


def load_extensions(modules: Sequence[str]) -> None:
    """Imports the modules and adds their item models and terms; modules that are loaded already are skipped.

    Raises SettingsError if a module cannot be imported or has neither, StateError if a name exists already.
    """
    with _loading:
        for name in modules:
            if name not in _loaded:
                _loaded[name] = _added(name)


def loaded_extensions() -> tuple[str, ...]:
    """The modules of this process, in the order in which they were loaded."""
    return tuple(_loaded)


def extension_digests() -> dict[str, str]:
    """SHA-256 of the source of each module, empty without a file: a changed module means that models must be trained
    again."""
    return {name: _digest(module) for name, module in _loaded.items()}


def _digest(module: ModuleType) -> str:
    path = getattr(module, "__file__", None)
    if path is None or not Path(path).is_file():
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@contextmanager
def extended(*modules: str) -> Iterator[None]:
    """`load_extensions` until the end of the context, for tests; extensions loaded by recipes within it end with it."""
    before = loaded_extensions()
    try:
        load_extensions(modules)
        yield
    finally:
        with _loading:
            for name in loaded_extensions():
                if name not in before:
                    _remove(_loaded.pop(name))


def _added(name: str) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(
            f"the module {name} cannot be imported: {error}",
            where="extensions.modules",
            do="It must be on Python's path here and on every worker",
        ) from None
    models, terms = _content(module)
    if not (models or terms):
        raise SettingsError(
            f"the module {name} has neither item models nor terms",
            where="extensions.modules",
            expected="a tuple ITEM_MODELS or TERMS",
        )
    try:
        for model in models:
            _check_free(model.name, TERMS)
            ITEM_MODELS.add(model)
        for term in terms:
            _check_free(term.name, ITEM_MODELS)
            TERMS.add(term)
    except StateError:
        _remove(module)
        raise
    return module


def _check_free(name: str, others: NameRegistry[Any]) -> None:
    if name in others:
        raise StateError(f"there is a {others.kind} of this name: {name}", do="Rename yours")


def _remove(module: ModuleType) -> None:
    models, terms = _content(module)
    for model in models:
        ITEM_MODELS.remove(model)
    for term in terms:
        TERMS.remove(term)


def _content(module: ModuleType) -> tuple[tuple[ItemModel[Any, Any], ...], tuple[Term, ...]]:
    return tuple(getattr(module, "ITEM_MODELS", ())), tuple(getattr(module, "TERMS", ()))
