"""Imported last by the server of libraries: leaves what lies there out of every later collection of garbage.

The collector of each child would otherwise touch all of it, and so copy it. That costs more than most of them do.
"""

import gc

gc.collect()
gc.freeze()
