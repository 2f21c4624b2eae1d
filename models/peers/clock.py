"""The line protocol between a benchmark and the engine that it measures: a command a line in, one JSON object a line out.

A worker loads once and then does what it is told, so that two engines can be asked in turns: whatever else the machine is
doing then falls on both. Times are CPU seconds of the whole process (`cpu_s`) and of the clock (`wall_s`).
"""

import json
import sys
import time


def timed(work):
    """Runs `work` and gives the seconds that it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}


def serve(commands):
    """Answers `name argument…` by `commands[name](*arguments)` until standard input ends."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        name, *arguments = line.split()
        print(json.dumps(commands[name](*arguments)), flush=True)
