"""Run a program of this interpreter under cProfile: profiled.py OUT PYTHON -m MODULE ARGUMENT …

The figures of a profiled run are no figures: they only tell where the time goes.
"""

from __future__ import annotations

import cProfile
import runpy
import sys

out, _, _, module = sys.argv[1:5]
sys.argv[:] = [module, *sys.argv[5:]]
profile = cProfile.Profile()
try:
    profile.runcall(runpy.run_module, module, run_name="__main__", alter_sys=True)
finally:
    profile.dump_stats(out)
