"""vace-bench: where does a chunk of LongLive + VACE + TAE spend its time on this GPU?"""

__version__ = "0.1.0"
