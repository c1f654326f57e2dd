"""Live music: endless playing, answers to the user's phrases, and duets."""

from kerasmusic.live.answers import Answers
from kerasmusic.live.clock import Clock, SystemClock
from kerasmusic.live.duet import Duet
from kerasmusic.live.endless import Endless
from kerasmusic.live.player import Player, Source

__all__ = ["Answers", "Clock", "Duet", "Endless", "Player", "Source", "SystemClock"]
