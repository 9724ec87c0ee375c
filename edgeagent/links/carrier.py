"""Whether this host itself is cut off: then that nobody answers says nothing about them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NETWORK: Final = Path("/sys/class/net")


def cut_off(network: Path = NETWORK) -> bool:
    """Tell whether no network card of this host has a cable, the real ones where there are any."""
    cards = [card for card in network.glob("*") if card.name != "lo"]  # routes may outlive the cable
    cards = [card for card in cards if (card / "device").exists()] or cards
    return bool(cards) and not any(_carrier(card) for card in cards)


def _carrier(card: Path) -> bool:
    try:
        return (card / "carrier").read_text(encoding="ascii").strip() == "1"
    except OSError:  # so says a card that is switched off
        return False
