"""Faults of an engine of our own: gone, hanging, without its image. Only behind the switch."""

from tests.faults.stage import Stage
from tests.faults.world import Bench, World


def engine_gone(world: World, bench: Bench, stage: Stage) -> None:
    """The engine is stopped and does not come back while the bench waits."""
    assert stage.private is not None
    stage.private.stop()
    bench.end()
    stage.private.start()


def engine_hangs(world: World, bench: Bench, stage: Stage) -> None:
    """The engine answers nothing any more; it goes on after the bench has given up."""
    assert stage.private is not None
    stage.private.freeze()
    bench.end()
    stage.private.thaw()


def image_removed(world: World, bench: Bench, stage: Stage) -> None:
    """The image is removed by force while a case runs, and is there again for the resume."""
    assert stage.private is not None and world.engine is not None
    (tag,) = [t for item in world.engine.images("vace-bench") for t in item["RepoTags"]]
    world.engine._api.tag(tag, "kept", "kept")
    world.engine.remove_image(tag)
    bench.end()
    repository, _, name = tag.partition(":")
    world.engine._api.tag("kept:kept", repository, name)
    world.engine.remove_image("kept:kept")
