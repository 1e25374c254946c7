"""The smallest history of each bad pattern: all of its operations are in the proof."""

from __future__ import annotations

from typing import Final

from tests.judge.verdict import Pattern

GUILTY: Final = {
    Pattern.CYCLIC_CO: """
        s1 get x 2
        s1 put y 1
        s2 get y 1
        s2 put x 2
    """,
    Pattern.WRITE_CO_INIT_READ: """
        s1 put x 1
        s1 put y 1
        s2 get y 1
        s2 get x -
    """,
    Pattern.THIN_AIR_READ: """
        s1 get x 7
    """,
    Pattern.WRITE_CO_READ: """
        s1 put x 1
        s2 get x 1
        s2 put x 2
        s3 get x 2
        s3 get x 1
    """,
    Pattern.CYCLIC_CF: """
        s1 put x 1
        s2 put x 2
        s1 get x 2
        s2 get x 1
    """,
    Pattern.WRITE_HB_INIT_READ: """
        s1 put z 1
        s1 put x 1
        s1 put y 1
        s2 put x 2
        s2 get z -   | x = 1 is yet to arrive
        s2 get y 1   | and now it has
        s2 get x 2   | but x = 2 stands: x = 1, and z = 1 too, were there before
    """,
    Pattern.CYCLIC_HB: """
        s1 put x 1
        s2 put x 2
        s2 get x 1
        s2 get x 2
    """,
}
