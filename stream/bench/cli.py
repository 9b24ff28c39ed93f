"""The ``flowtell bench`` commands, each imported only when it is called."""

from __future__ import annotations

from cyclopts import App

app = App(name="bench", help="Measure speed, latency and how many cameras fit.", result_action="return_value")
app.command("stream.bench.pipeline:pipeline", name="pipeline", help="CPU time of a frame, by stage, beside peers.")
app.command(
    "stream.bench.density:density", name="density", help="The largest number of cameras that this machine watches."
)
app.command("stream.bench.latency:latency", name="latency", help="From a frame's arrival to its verdict, and start-up.")
app.command(
    "stream.bench.equivalence:equivalence", name="equivalence", help="The fast path's verdicts beside the plain one's."
)
app.command("stream.bench.clip:clip", name="clip", help="Make a clip of any size with a face in it, to measure on.")
app.command("stream.bench.switch:switch", name="switch", help="Seconds until the indicator turns when the video does.")
app.command(
    "train.bench_prepare:prepare", name="prepare", help="CPU time of preparing pairs beside the notebook's loop."
)
app.command("train.bench_flow:flow", name="flow", help="Error and CPU time of flows on motion that is known.")
