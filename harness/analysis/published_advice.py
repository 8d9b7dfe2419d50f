"""What the published report recommends and what it says won't help, as far as our documents tell.

The report gives five recommendations and two claims of what won't help. Only those whose subject a
document of this project states stand here; a verdict on the others would be on words of our own.
"""

from dataclasses import dataclass
from typing import Literal

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
NAMES = (*(advice.name for advice in ADVICE), "advice")
