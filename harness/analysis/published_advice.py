"""What the published report recommends and what it says won't help, as far as our documents tell.

The report gives five recommendations and two claims of what won't help. Only those whose subject a
document of this project states stand here; a verdict on the others would be on words of our own.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from harness.analysis.published import Figure

RECOMMENDATIONS = 5
WONT_HELP = 2


@dataclass(frozen=True)
class Advice:
    """One of them: how the report cites it, what it is about, and the arms that measure it."""

    name: str
    kind: Literal["recommendation", "won't help"]
    subject: str
    arms: tuple[str, ...]  # of paired cases; none where no arm can measure it


ADVICE: tuple[Advice, ...] = (
    Advice("advice_vae", "recommendation", "The VAE: WanVAE against TAE", ()),
    Advice("advice_compile", "won't help", "torch.compile", ("compiled", "compiled-blocks")),
)
# LongLive's own speed, from its authors: 832x480, one H100, without VACE.
LONGLIVE_SIZE = (832, 480)
LONGLIVE_FPS = Figure("longlive_fps", Decimal("20.7"), "FPS", "LongLive, by its authors")
NAMES = (*(advice.name for advice in ADVICE), "advice", LONGLIVE_FPS.name)
