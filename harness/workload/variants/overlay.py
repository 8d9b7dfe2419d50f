"""Lays a class over an object: its methods then come first, and `super()` is what was there before.

So a change is one small class that overrides one or two methods, changes lie over one another in
the order in which they are made, and the baseline's own code has no branch for any of them.
"""

_LAID: dict[tuple[type, type], type] = {}  # one class for all blocks: compiled code is shared


def lay_over(owner: object, change: type, **attributes: object) -> None:
    """Puts the methods of `change` before those of the object's class, and sets its attributes."""
    for name, value in attributes.items():
        setattr(owner, name, value)
    owner.__class__ = _laid_over(change, type(owner))


def _laid_over(change: type, below: type) -> type:
    key = (change, below)
    if key not in _LAID:
        _LAID[key] = type(f"{change.__name__}{below.__name__}", key, {})
    return _LAID[key]
