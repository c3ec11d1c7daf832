"""The demo: a small city whose orders become events, until it is stopped.

    run → narration, city → orders, people, rides → streets

`city` and what stands right of it are pure: a simulation in its own seconds, whose chances come from a seed
and whose clock is an argument. `run` brings it to a mesh at the pace of a clock; `narration` is what people
read meanwhile.
"""
