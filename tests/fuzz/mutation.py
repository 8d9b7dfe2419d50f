"""Changes that know a format: one value, key or line of JSON or TOML replaced by a hostile one.

Bytes changed blindly nearly always end as a syntax error. Each function gives None where the input
does not have the format, and libFuzzer's own changes take its place.
"""

import copy
import gzip
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, int], bytes | None]

UNPACKED_BYTES = 1 << 20
TEXTS = (
    "",
    "|",
    "`",
    "<script>alert(1)</script>",
    "![x](http://example.org/x.png)",
    "[x](javascript:alert(1))",
    "# head",
    "a\nb",
    "\u202e\u2066evil",
    "\x00\x1b[31m",
    "\ud800",
    "$\\frac{1}{0}$",
    "../../../etc/passwd",
    "{{ 7 * 7 }}",
    "x" * 3000,
    "base",
    "GPU-01234567-89ab-cdef-0123-456789abcdef",
)
NUMBERS = (0, -1, 1, 2, 1e-9, 0.5, 1e9, 1e18, -1e18, 2**53, 2**63, 2**64, 10**25, 1e300, 5e-324)
ODD = (None, True, False, float("nan"), float("inf"), float("-inf"), [], {}, [[]], {"": None})
TOML_VALUES = (
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e999",
    b"99999999999999999999999",
    b'""',
    b"[]",
    b"{}",
    b'["e2e"]',
    b'["paired", "isolated"]',
    b'["base", "compiled"]',
    b"[1, 1, 1]",
    b"true",
    b"2026-01-01",
    b'"\\ud800"',
    b"'''x",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
)
TOML_FITTING: dict[bytes, tuple[bytes, ...]] = {
    b"kind": (b'["e2e"]', b'["isolated"]', b'["paired"]', b'["quality"]'),
    b"mode": (b'["text"]', b'["depth", "inpainting"]', b'["depth", "depth"]'),
    b"compiled": (b"[true]", b"[false, true]", b"[]"),
    b"size": (b'["16x4096"]', b'["0x0"]', b'["17x16"]', b'["512x512", "00512x512"]'),
    b"vae": (b'["wanvae"]', b'["tae", "wanvae"]'),
    b"attention": (b'["sage", "flex", "sdpa"]', b'["default"]'),
    b"seed": (b"[0]", b"[2147483647]", b"[2147483648]", b"[1, 2, 3, 4, 5, 6, 7]"),
    b"arms": (
        b'["base", "again"]',
        b'["again", "base"]',
        b'["base", "rope-real+once"]',
        b'["base"]',
    ),
    b"processes": (b"1", b"50", b"51"),
    b"blocks": (b"1", b"100000", b"100001"),
    b"plant": (b'["items", ""]', b'["recompile"]'),
    b"profile": (b"true", b"false"),
    b"label": (b'"alone"', b'"x"', b'""'),
    b"variant": (b'["baseline"]', b'["rope-real+once"]', b'["lossless"]', b'["once", "nothing"]'),
    b"bare": (b"true", b"false"),
    b"warmup_max_s": (b"0.001", b"3600", b"3600.1", b"-0.0"),
}
TOML_KEYS = (b"kind", b"mode", b"size", b"arms", b"seed", b"plant", b"profile", b"name", b"a.b.c.d")


def json_mutation(blob: bytes, seed: int) -> bytes | None:
    """One to three changes at places of a JSON document."""
    try:
        document = json.loads(blob)
    except (ValueError, RecursionError):
        return None
    chooser = random.Random(seed)
    try:
        for _ in range(chooser.choice((1, 1, 1, 2, 3))):
            holders = _holders(document)
            if not holders:
                return None
            _change(chooser, holders)
        text = json.dumps(document)
    except RecursionError:  # several nestings inside one another
        return None
    if chooser.random() < 0.02:
        text = _with_key_twice(text)
    return text.encode("utf-8", "surrogatepass")


def _holders(document: Any) -> "list[Any]":
    """Every list and object that is not empty."""
    found, waiting = [], [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list) and value:
            found.append(value)
            waiting += _values(value)
    return found


def _change(chooser: random.Random, holders: list[Any]) -> None:
    holder = chooser.choice(holders)
    key = chooser.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    way = chooser.random()
    if way < 0.10 and isinstance(holder, list):
        if chooser.random() < 0.5:
            del holder[key]
        else:
            holder += holder * chooser.choice((1, 1, 3, 30))
    elif way < 0.04:
        del holder[key]
    elif way < 0.08:
        holder[chooser.choice(TEXTS)] = holder.pop(key)
    elif way < 0.12:
        text = json.dumps(chooser.choice(holders))
        holder[key] = json.loads(text) if len(text) < 5000 else None
    elif way < 0.13:
        for _ in range(chooser.choice((5, 50, 300))):
            holder[key] = [holder[key]]
    else:
        holder[key] = _hostile(chooser, holder[key], holders)


def _hostile(chooser: random.Random, old: Any, holders: list[Any]) -> Any:
    """Mostly a value of the same type, so that the schema lets it in."""
    if chooser.random() < 0.05:
        return _odd(chooser)
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return chooser.choice((0, 0, 1, 2, old + 1, old - 1, old * 1000, int(_any_number(chooser))))
    if isinstance(old, float):
        near = (0.0, old + 1, old * 1000, old / 1000, 1e-3, 1e9)
        return chooser.choice((*near, float(_any_number(chooser)), None))
    if isinstance(old, str):
        if chooser.random() < 0.4:  # another word that the document knows
            words = [value for held in holders for value in _values(held) if isinstance(value, str)]
            return chooser.choice(words)
        return chooser.choice((*TEXTS, old + chooser.choice(TEXTS)))
    return _odd(chooser)


def _odd(chooser: random.Random) -> Any:
    """A copy: further changes may go into it."""
    return copy.deepcopy(chooser.choice((*ODD, *TEXTS, *NUMBERS)))


def _any_number(chooser: random.Random) -> float:
    return chooser.choice(NUMBERS)


def _values(holder: Any) -> list[Any]:
    return list(holder.values()) if isinstance(holder, dict) else holder


def _with_key_twice(text: str) -> str:
    at = text.find('": ')
    start = text.rfind('"', 0, at)
    return text if at < 0 else f'{text[:start]}{text[start:at]}": 1, {text[start:]}'


def toml_mutation(blob: bytes, seed: int) -> bytes | None:
    """One to three lines of a TOML document changed, doubled, moved or dropped."""
    chooser = random.Random(seed)
    lines = blob.split(b"\n")
    for _ in range(chooser.choice((1, 1, 2, 3))):
        at, way = chooser.randrange(len(lines)), chooser.random()
        key, equals, _ = lines[at].partition(b"=")
        if way < 0.3 and (fitting := TOML_FITTING.get(key.strip())):
            lines[at] = key + b"= " + chooser.choice(fitting)
        elif way < 0.4:
            new = chooser.choice(list(TOML_FITTING))
            lines.append(new + b" = " + chooser.choice(TOML_FITTING[new]))
        elif way < 0.5 and equals:
            lines[at] = key + b"= " + chooser.choice(TOML_VALUES)
        elif way < 0.6 and equals:
            lines[at] = chooser.choice(TOML_KEYS) + lines[at][len(key) :]
        elif way < 0.7:
            lines[at : at + 1] = lines[at : at + 1] * chooser.choice((2, 2, 40, 200))
        elif way < 0.8 and len(lines) > 1:
            del lines[at]
        elif way < 0.9:
            lines.insert(at, b"[[cases]]")
        elif b"," in lines[at]:
            lines[at] = _longer_list(chooser, lines[at])
        else:
            lines.insert(at, b".".join([b"a"] * chooser.choice((3, 90, 5000))) + b" = 1")
    return b"\n".join(lines)


def _longer_list(chooser: random.Random, line: bytes) -> bytes:
    first, comma, rest = line.partition(b",")
    return first + comma + (first.partition(b"[")[2] + b",") * chooser.choice((2, 50, 900)) + rest


def trace_mutation(blob: bytes, seed: int) -> bytes | None:
    """A change of the JSON inside, packed again or not; now and then a bomb or a cut."""
    chooser = random.Random(seed)
    text = _unpacked(blob)
    changed = json_mutation(text, seed) if text is not None else None
    if changed is None:
        return None
    way = chooser.random()
    if way < 0.01:
        changed += b" " * (16 << 20)
    packed = gzip.compress(changed, 6, mtime=0) if way < 0.5 or way > 0.95 else changed
    return packed[: len(packed) - chooser.randrange(1, 40)] if way > 0.97 else packed


def _unpacked(blob: bytes) -> bytes | None:
    if not blob.startswith(b"\x1f\x8b"):
        return blob
    try:
        return zlib.decompressobj(wbits=31).decompress(blob, UNPACKED_BYTES)
    except zlib.error:
        return None


MUTATIONS: dict[str, Mutation] = {
    "record": json_mutation,
    "matrix": toml_mutation,
    "trace": trace_mutation,
    "planted": lambda blob, seed: None,
    "deadly": lambda blob, seed: None,
}
